import { connect } from 'node:net';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-node';
import type { Logger } from './logger.ts';

/** How long a collector may take to accept a connection. */
const CONNECT_TIMEOUT_MS = 1_000;

/** As OpenTelemetry numbers the results of an export. */
const FAILED = 1;

const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

type Done = Parameters<SpanExporter['export']>[1];
type ExportResult = Parameters<Done>[0];

/**
 * Sends spans where a collector listens, and drops them where none does. The exporter itself tries again for ten
 * seconds, so that the end of every command would have to wait for a collector that is away.
 */
export class CollectorExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #address: { readonly host: string; readonly port: number };
  readonly #logger: Logger;
  #hasWarned = false;

  /** @param logger is warned of the first failure, and of no other */
  constructor(exporter: SpanExporter, endpoint: string, logger: Logger) {
    const { hostname, port, protocol } = new URL(endpoint);
    this.#exporter = exporter;
    this.#address = {
      // An IPv6 address stands in brackets there.
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? (PORTS[protocol] ?? 0) : Number(port),
    };
    this.#logger = logger;
  }

  export(spans: ReadableSpan[], done: Done): void {
    void this.#pass(spans, done);
  }

  async #pass(spans: ReadableSpan[], done: Done): Promise<void> {
    done(await this.#send(spans));
  }

  async #send(spans: ReadableSpan[]): Promise<ExportResult> {
    try {
      await accepts(this.#address);
    } catch (error) {
      this.#warn(error);
      return { code: FAILED, error: error as Error };
    }
    const result = await new Promise<ExportResult>((resolve) => this.#exporter.export(spans, resolve));
    if (result.error !== undefined) this.#warn(result.error);
    return result;
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }

  #warn(error: unknown): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    this.#logger.warn(
      { err: error, ...this.#address },
      'traces cannot be sent: the collector does not take them',
    );
  }
}

/** Resolves where a connection is accepted; rejects where it is refused, or takes too long. */
function accepts(address: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, timeout: CONNECT_TIMEOUT_MS });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('timeout', () => {
      socket.destroy();
      reject(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
    });
    socket.once('error', reject);
  });
}
