import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** What a proxy does to the connections through it, those that are open already included. */
export interface TcpFaults {
  /** Added to every chunk, in each direction. */
  readonly latencyMs: number;
  /** Nothing arrives any more in this direction, and nobody is told. */
  readonly blackhole: 'none' | 'requests' | 'replies' | 'both';
  /** New connections are reset at once. */
  readonly refuse: boolean;
  /** Bytes per second and connection, in each direction. */
  readonly bytesPerSecond: number;
}

const HARMLESS: TcpFaults = {
  latencyMs: 0,
  blackhole: 'none',
  refuse: false,
  bytesPerSecond: Number.POSITIVE_INFINITY,
};
const MS_PER_SECOND = 1_000;

/** A port of its own in front of a server, with faults that can be switched on and off. */
export class TcpProxy {
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  readonly #target: { host: string; port: number };
  #faults: TcpFaults = HARMLESS;

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  static async start(target: { host: string; port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Replaces the faults in force; what is not named is harmless again. */
  set(faults: Partial<TcpFaults>): void {
    this.#faults = { ...HARMLESS, ...faults };
  }

  /** Resets every open connection, in the middle of whatever it carries. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    if (this.#faults.refuse) {
      client.resetAndDestroy();
      return;
    }
    const server = connect(this.#target);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    this.#carry(client, server, 'requests');
    this.#carry(server, client, 'replies');
  }

  /** Chunks keep their order: each waits for the one before it. */
  #carry(from: Socket, to: Socket, direction: 'requests' | 'replies'): void {
    let last = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      from.pause();
      last = last.then(async () => {
        const { latencyMs, bytesPerSecond, blackhole } = this.#faults;
        const delayMs = latencyMs + (chunk.length / bytesPerSecond) * MS_PER_SECOND;
        if (delayMs >= 1) await new Promise((resolve) => setTimeout(resolve, delayMs));
        const isLost = blackhole === 'both' || blackhole === direction;
        // A socket whose other end is gone fails a write; its 'error' listener has told the other.
        if (!isLost && !to.destroyed && !to.write(chunk))
          await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined);
        from.resume();
      });
    });
    from.on('end', () => void last.then(() => to.end()));
  }
}
