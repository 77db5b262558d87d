/** A counting semaphore, first come first served. */
export interface Slots {
  /** Waits for a free slot. @returns gives the slot back; call it exactly once */
  acquire(): Promise<() => void>;
}

/** @param size work in progress at most, 1 or more */
export function createSlots(size: number): Slots {
  const waiting: (() => void)[] = [];
  let free = size;

  function release(): void {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  }

  return {
    acquire: async () => {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      return release;
    },
  };
}
