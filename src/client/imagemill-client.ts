import type { RunLabels } from '../contract/api/labels.ts';
import type {
  ActionAnswer,
  ErrorsPage,
  ListRunsInput,
  ResultsPage,
  RetryRequestInput,
  RowsQueryInput,
  RunDetail,
  RunList,
  RunOverview,
  ShardFacts,
  ShardMap,
  Submitted,
} from '../contract/api/runs.ts';
import type { SubmitRunInput } from '../contract/api/submit.ts';
import type { Training } from '../contract/api/training.ts';
import type { Fleet } from '../contract/api/workers.ts';
import type { PartFormat } from '../contract/rows.ts';
import { Transport, type ClientOptions } from './transport.ts';
import { watchEvents, type WatchedEvent, type WatchOptions } from './watch-events.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
}

const ENDED: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled', 'unreadable']);

/**
 * The API of a dashboard, over `fetch` alone: in Node and in browsers. Every method throws an `ApiProblem` where the
 * dashboard refuses, and asks again by itself where that does no harm and nobody answers.
 */
export class ImagemillClient {
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
  }

  /** A page of runs, newest first. */
  listRuns(query: ListRunsInput = {}, { signal }: CallOptions = {}): Promise<RunList> {
    return this.#get('/runs', signal, query);
  }

  /** All runs that match, newest first, page by page. */
  async *runs(
    query: Omit<ListRunsInput, 'cursor'> = {},
    options: CallOptions = {},
  ): AsyncGenerator<RunOverview> {
    let cursor: string | undefined;
    do {
      const page = await this.listRuns({ ...query, ...(cursor === undefined ? {} : { cursor }) }, options);
      yield* page.runs;
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
  }

  /**
   * Submits a run and puts it on the queue. It counts once, however often it has to be sent.
   * @param options.idempotencyKey to make several calls count as one; one of its own unless given
   */
  submit(
    request: SubmitRunInput,
    { idempotencyKey = crypto.randomUUID(), signal }: CallOptions & { idempotencyKey?: string } = {},
  ): Promise<Submitted> {
    const headers = { 'idempotency-key': idempotencyKey };
    return this.#transport.json({
      method: 'POST',
      path: '/runs',
      body: request,
      headers,
      repeatable: true,
      signal,
    });
  }

  getRun(run: string, { signal }: CallOptions = {}): Promise<RunDetail> {
    return this.#get(pathOf(run), signal);
  }

  /** One character per shard. */
  getShardMap(run: string, { signal }: CallOptions = {}): Promise<ShardMap> {
    return this.#get(pathOf(run, '/shards'), signal);
  }

  getShard(run: string, shard: number, { signal }: CallOptions = {}): Promise<ShardFacts> {
    return this.#get(pathOf(run, `/shards/${shard}`), signal);
  }

  /** How often each class, how confident, and the least confident images, of what is committed. */
  getLabels(run: string, { signal }: CallOptions = {}): Promise<RunLabels> {
    return this.#get(pathOf(run, '/labels'), signal);
  }

  /** Who works, and what waits for them. */
  getFleet({ signal }: CallOptions = {}): Promise<Fleet> {
    return this.#get('/workers', signal);
  }

  /** Stops a run within a batch; what is committed stays. */
  cancel(run: string, { signal }: CallOptions = {}): Promise<ActionAnswer> {
    return this.#transport.json({ method: 'POST', path: pathOf(run, '/cancel'), repeatable: true, signal });
  }

  /** Puts a run on the queue again from its ledger. */
  resume(run: string, { signal }: CallOptions = {}): Promise<ActionAnswer> {
    return this.#transport.json({ method: 'POST', path: pathOf(run, '/resume'), repeatable: true, signal });
  }

  /** Puts shards without a result on the queue again or, with `failed`, labels items with errors again. */
  retry(run: string, request: RetryRequestInput = {}, { signal }: CallOptions = {}): Promise<ActionAnswer> {
    // Sent twice, the errors that the first one leaves could be retried by the second.
    const repeatable = request.failed !== true;
    return this.#transport.json({
      method: 'POST',
      path: pathOf(run, '/retry'),
      body: request,
      repeatable,
      signal,
    });
  }

  /** A page of committed rows; only `next: null` says that it is the last. */
  listResults(run: string, query: RowsQueryInput = {}, { signal }: CallOptions = {}): Promise<ResultsPage> {
    return this.#get(pathOf(run, '/results'), signal, query);
  }

  /** All committed rows of a run. */
  results(
    run: string,
    options: CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<ResultsPage['rows'][number]> {
    return rowsOf((query) => this.listResults(run, query, options), options.pageSize);
  }

  /** A page of items that could not be labelled. */
  listErrors(run: string, query: RowsQueryInput = {}, { signal }: CallOptions = {}): Promise<ErrorsPage> {
    return this.#get(pathOf(run, '/errors'), signal, query);
  }

  /** All items that could not be labelled. */
  errors(
    run: string,
    options: CallOptions & { pageSize?: number } = {},
  ): AsyncGenerator<ErrorsPage['rows'][number]> {
    return rowsOf((query) => this.listErrors(run, query, options), options.pageSize);
  }

  /** Epochs and steps of a training run. */
  getTraining(run: string, { signal }: CallOptions = {}): Promise<Training> {
    return this.#get(pathOf(run, '/training'), signal);
  }

  /** All committed rows as one file; an error in the middle of it ends the stream with one. */
  downloadResults(
    run: string,
    format: PartFormat,
    options: CallOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    return this.#download(pathOf(run, `/download/results.${format}`), options);
  }

  /** All error rows as JSONL. */
  downloadErrors(run: string, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return this.#download(pathOf(run, '/download/errors.jsonl'), options);
  }

  /** What happens, for as long as somebody asks; connections that break are made again, and go on where they were. */
  events(options: WatchOptions = {}): AsyncGenerator<WatchedEvent, void, void> {
    return watchEvents(this.#transport, options);
  }

  /**
   * Waits for the end of a run.
   * @param options.onChange hears of the run whenever something has changed
   * @returns the run as it has ended: `done`, `failed`, `cancelled` or `unreadable`
   */
  async wait(
    run: string,
    { onChange, signal }: CallOptions & { onChange?: (overview: RunOverview) => void } = {},
  ): Promise<RunDetail> {
    const stop = new AbortController();
    const ended = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    try {
      for await (const event of this.events({ run, signal: ended })) {
        if (event.type === 'run') onChange?.(event.run);
        if (event.type === 'reset' || (event.type === 'run' && ENDED.has(event.run.state))) {
          const detail = await this.getRun(run, { signal: ended });
          if (ENDED.has(detail.overview.state)) return detail;
        }
      }
    } finally {
      stop.abort();
    }
    throw (
      (signal?.reason as Error | undefined) ?? new Error('expected the run to end, got the end of its events')
    );
  }

  async #download(path: string, { signal }: CallOptions): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.#transport.send({ path, repeatable: true, streams: true, signal });
    return body ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  #get<T>(
    path: string,
    signal?: AbortSignal,
    query: Readonly<Record<string, string | number | undefined>> = {},
  ): Promise<T> {
    return this.#transport.json({ path, query, repeatable: true, signal });
  }
}

function pathOf(run: string, rest = ''): string {
  return `/runs/${encodeURIComponent(run)}${rest}`;
}

async function* rowsOf<R>(
  page: (query: RowsQueryInput) => Promise<{ rows: R[]; next: string | null }>,
  limit = 1_000,
): AsyncGenerator<R> {
  let cursor: string | undefined;
  do {
    const { rows, next } = await page({ limit, ...(cursor === undefined ? {} : { cursor }) });
    yield* rows;
    cursor = next ?? undefined;
  } while (cursor !== undefined);
}
