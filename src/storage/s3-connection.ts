import type { S3, S3ClientConfig } from '@aws-sdk/client-s3';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { S3Settings } from '../config/environment.ts';
import { allowManyListeners } from './abort.ts';
import { ConnectionSlots } from './connection-slots.ts';
import { s3StoreError, type S3Place } from './s3-errors.ts';

/**
 * Tries of a request whose connection is not even established, since each costs the whole connect timeout:
 * a store that is down shows in seconds.
 */
const CONNECT_TIMEOUT_ATTEMPTS = 2;

/** Credentials given in code; without them the SDK's own chain is asked (environment, profile, role). */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** The options of one request, in the SDK's form. */
interface RequestOptions {
  readonly abortSignal?: AbortSignal;
}

type Call<T> = (client: S3, options: RequestOptions) => Promise<T>;

/** One SDK client with its connections, shared by every store of a resolver. The SDK is loaded at the first request. */
export class S3Connection {
  /** Scheme, host and port, for messages. */
  readonly address: string;
  /** Tries of one request, the first included. */
  readonly attempts: number;
  readonly #settings: S3Settings;
  readonly #credentials: S3Credentials | undefined;
  readonly #slots: ConnectionSlots;
  #client: Promise<S3> | undefined;

  constructor(settings: S3Settings, credentials?: S3Credentials) {
    this.#settings = settings;
    this.#credentials = credentials;
    this.#slots = new ConnectionSlots(settings.connections);
    this.address = addressOf(settings);
    this.attempts = settings.attempts;
  }

  client(): Promise<S3> {
    this.#client ??= createClient(this.#settings, this.#credentials);
    return this.#client;
  }

  /**
   * Makes one request on a free connection.
   * @throws ImagemillError for what the call throws; the signal's reason once it is aborted
   */
  async request<T>(place: S3Place, signal: AbortSignal | undefined, call: Call<T>): Promise<T> {
    const { value, release } = await this.requestHeld(place, signal, call);
    release();
    return value;
  }

  /** As {@link request}, but the connection stays taken until `release`: for replies whose body is read later. */
  async requestHeld<T>(
    place: S3Place,
    signal: AbortSignal | undefined,
    call: Call<T>,
  ): Promise<{ value: T; release: () => void }> {
    allowManyListeners(signal);
    const client = await this.client();
    const release = await this.#slots.acquire(signal);
    try {
      return { value: await call(client, signal === undefined ? {} : { abortSignal: signal }), release };
    } catch (error) {
      release();
      signal?.throwIfAborted();
      throw s3StoreError(error, place);
    }
  }

  /** Ends idle connections; a later request opens new ones. */
  close(): void {
    void this.#client?.then((client) => client.destroy());
    this.#client = undefined;
  }
}

function addressOf(settings: S3Settings): string {
  if (settings.endpoint === undefined) return `https://s3.${settings.region}.amazonaws.com`;
  const { protocol, host } = new URL(settings.endpoint);
  return `${protocol}//${host}`;
}

async function createClient(settings: S3Settings, credentials: S3Credentials | undefined): Promise<S3> {
  // Loading the SDK takes a fifth of a second, which commands on local files need not wait for.
  const sdk = await import('@aws-sdk/client-s3');
  const mode = settings.checksums === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  const agentOptions = { keepAlive: true, maxSockets: settings.connections };
  const config: S3ClientConfig = {
    region: settings.region,
    forcePathStyle: settings.pathStyle,
    maxAttempts: settings.attempts,
    retryMode: 'standard',
    requestChecksumCalculation: mode,
    responseChecksumValidation: mode,
    // AWS names the region of a bucket; a server of one's own has no other place to send a signed request to.
    followRegionRedirects: settings.endpoint === undefined,
    requestHandler: {
      // Agents rather than their options: given options, the SDK opens a new connection for every large upload.
      httpAgent: new HttpAgent(agentOptions),
      httpsAgent: new HttpsAgent(agentOptions),
      connectionTimeout: settings.connectTimeoutMs,
      socketTimeout: settings.idleTimeoutMs,
    },
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  };
  const client = new sdk.S3(config);
  giveUpEarlyOnConnectTimeouts(client);
  return client;
}

function giveUpEarlyOnConnectTimeouts(client: S3): void {
  const original = client.config.retryStrategy;
  client.config.retryStrategy = async () => {
    const strategy = await original();
    if (!('refreshRetryTokenForRetry' in strategy)) return strategy;
    return {
      acquireInitialRetryToken: (scope) => strategy.acquireInitialRetryToken(scope),
      recordSuccess: (token) => strategy.recordSuccess(token),
      refreshRetryTokenForRetry: async (token, info) => {
        const tries = token.getRetryCount() + 1;
        if (tries >= CONNECT_TIMEOUT_ATTEMPTS && isConnectTimeout(info.error)) {
          throw new Error('no further try after a connect timeout');
        }
        return strategy.refreshRetryTokenForRetry(token, info);
      },
    };
  };
}

/** The SDK tells its timeouts apart by their messages only. */
function isConnectTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    error.name === 'TimeoutError' &&
    error.message.includes('did not establish a connection')
  );
}
