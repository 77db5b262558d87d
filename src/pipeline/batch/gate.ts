/** Lets whoever comes pass while it is open, and holds them while it is shut. */
export class Gate {
  #waiting: (() => void)[] = [];
  #open = true;

  get isOpen(): boolean {
    return this.#open;
  }

  shut(): void {
    this.#open = false;
  }

  open(): void {
    this.#open = true;
    for (const pass of this.#waiting.splice(0)) pass();
  }

  /** Resolves at once where the gate is open, else when it opens. */
  async passage(): Promise<void> {
    while (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
