import { problemOfAnswer } from './api-problem.ts';

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
const LONGEST_RETRY_AFTER_MS = 60_000;
const ANSWER_TIMEOUT_MS = 60_000;
const MS_PER_SECOND = 1_000;

export interface ClientOptions {
  /** Where the dashboard is: `https://mill.example`; a path before `/api/v1` is kept. */
  readonly baseUrl: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string;
  /** In place of the global one. */
  readonly fetch?: typeof fetch;
  /** Tries of a request that may be repeated, the first included; 5 unless given. */
  readonly attempts?: number;
}

export interface Call {
  readonly method?: 'GET' | 'POST';
  /** Below `/api/v1`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Whether doing it twice is as good as doing it once. */
  readonly repeatable: boolean;
  readonly signal?: AbortSignal | undefined;
  /** An answer whose body goes on for longer than an answer may take. */
  readonly streams?: boolean;
}

/** Sends requests; again, after a pause, where that does no harm and nobody answered or asked for it. */
export class Transport {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** @throws ApiProblem; TypeError where nobody answers */
  async json<T>(call: Call): Promise<T> {
    return (await (await this.send(call)).json()) as T;
  }

  /** An answer that is a success. @throws ApiProblem; TypeError where nobody answers */
  async send(call: Call): Promise<Response> {
    const attempts = call.repeatable ? (this.#options.attempts ?? 5) : 1;
    for (let attempt = 1; ; attempt += 1) {
      const isLast = attempt >= attempts;
      const answer = await this.#fetch(call).catch((error: unknown) => {
        call.signal?.throwIfAborted();
        if (isLast) throw error;
        return null;
      });
      if (answer?.ok === true) return answer;
      let pauseMs = pauseAfter(attempt);
      if (answer !== null) {
        pauseMs = Math.max(pauseMs, retryAfterMs(answer));
        const problem = await problemOfAnswer(answer);
        if (isLast || !problem.retryable) throw problem;
      }
      await pause(pauseMs, call.signal);
    }
  }

  async #fetch({ method = 'GET', path, query, headers, body, signal, streams }: Call): Promise<Response> {
    const { baseUrl, token, fetch: ownFetch = fetch } = this.#options;
    const parameters = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(
      parameters.map(([name, value]): [string, string] => [name, String(value)]),
    ).toString();
    const url = `${baseUrl.replace(/\/+$/, '')}/api/v1${path}${search === '' ? '' : `?${search}`}`;
    const signals = [
      ...(signal === undefined ? [] : [signal]),
      ...(streams === true ? [] : [AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    ];
    return ownFetch(url, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
    });
  }
}

/** Twice as long after every try, and never the same for two clients. */
export function pauseAfter(attempt: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  return longest * (0.5 + Math.random() / 2);
}

function retryAfterMs(answer: Response): number {
  const seconds = Number(answer.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? Math.min(LONGEST_RETRY_AFTER_MS, seconds * MS_PER_SECOND) : 0;
}

/** @throws the signal's reason */
export function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, durationMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
