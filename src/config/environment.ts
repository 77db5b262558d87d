import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ImagemillError } from '../contract/errors.ts';
import { readRedisTls, type RedisTls } from './redis-tls.ts';
import { redisUrlFault, withoutUserInfo } from './redis-url.ts';
import { tracingSettings, tracingVariables, type TracingSettings } from './tracing-settings.ts';

const flag = z
  .enum(['1', '0', 'true', 'false', 'yes', 'no'])
  .transform((value) => value === '1' || value === 'true' || value === 'yes');
/** Of imagemill's own folder, whether it runs compiled or not. */
const BUILT_TENSORFLOW = fileURLToPath(new URL('../../.cache/tensorflow', import.meta.url));
const count = (minimum: number, maximum: number) => z.coerce.number().int().min(minimum).max(maximum);

/** Every environment variable imagemill reads. Credentials stay with the AWS SDK's own chain. */
const environmentSchema = z.object({
  REDIS_URL: z
    .string()
    .superRefine((url, context) => {
      const message = redisUrlFault(url);
      if (message !== null) context.addIssue({ code: 'custom', message });
    })
    .optional(),
  /** PEM files for rediss://: a private authority, and this side's own certificate where the server wants one. */
  IMAGEMILL_REDIS_TLS_CA: z.string().optional(),
  IMAGEMILL_REDIS_TLS_CERT: z.string().optional(),
  IMAGEMILL_REDIS_TLS_KEY: z.string().optional(),
  /** Prefix of every Redis key; in a Redis Cluster wrap it in braces. */
  IMAGEMILL_QUEUE_PREFIX: z
    .string()
    .regex(/^[^:\s]{1,64}$/, 'expected 1 to 64 characters without ":"')
    .default('imagemill'),
  /** Where the index of runs is kept: a path, file:// or s3:// location shared by those who share runs. */
  IMAGEMILL_HOME: z.string().min(1).optional(),
  XDG_STATE_HOME: z.string().optional(),
  IMAGEMILL_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('warn'),

  /** Of the dashboard: whoever bears it may do everything there; required where others can reach it. */
  IMAGEMILL_TOKEN: z.string().optional(),
  /** Whoever bears this one may look, and change nothing. */
  IMAGEMILL_VIEWER_TOKEN: z.string().optional(),

  /** Endpoint of an S3-compatible server; AWS's own where it is unset. */
  IMAGEMILL_S3_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'expected http:// or https://' })
    .refine((url) => !url.includes('@'), 'expected no user or password: credentials are AWS_ACCESS_KEY_ID, …')
    .optional(),
  IMAGEMILL_S3_REGION: z.string().optional(),
  AWS_REGION: z.string().optional(),
  AWS_DEFAULT_REGION: z.string().optional(),
  /** `http://host/bucket/key` in place of `http://bucket.host/key`; on by default with a custom endpoint. */
  IMAGEMILL_S3_PATH_STYLE: flag.optional(),
  /** `when-required` for servers that do not know the SDK's default checksums (Ceph before 18, older gateways). */
  IMAGEMILL_S3_CHECKSUMS: z.enum(['when-supported', 'when-required']).optional(),
  /** Tries of one request, the first included. */
  IMAGEMILL_S3_ATTEMPTS: count(1, 20).default(4),
  /** Connections kept open at most. */
  IMAGEMILL_S3_CONNECTIONS: count(1, 1000).default(64),
  IMAGEMILL_S3_CONNECT_TIMEOUT_MS: count(100, 60_000).default(3_000),
  /** Longest silence of a connection in the middle of a request. */
  IMAGEMILL_S3_IDLE_TIMEOUT_MS: count(100, 600_000).default(30_000),

  /** Of the driver's: which devices there are, and in which order; `cuda:0` is the first of them. */
  CUDA_VISIBLE_DEVICES: z.string().optional(),

  /** Images fetched ahead per shard in progress. */
  IMAGEMILL_FETCH_CONCURRENCY: count(1, 1024).default(32),
  /** Images decoded at a time; the number of cores where it is unset. */
  IMAGEMILL_DECODE_CONCURRENCY: count(1, 256).optional(),
  /** Threads of the engine; the number of cores where it is unset. */
  IMAGEMILL_ENGINE_THREADS: count(1, 256).optional(),
  /** Where setup:tensorflow builds; by default in imagemill's own folder. */
  IMAGEMILL_TENSORFLOW: z.string().min(1).optional(),
  IMAGEMILL_BATCH_SIZE: count(1, 4096).default(64),
  /** Largest object that is read as an image. */
  IMAGEMILL_MAX_IMAGE_BYTES: count(1, 2 ** 31).default(64 * 1024 * 1024),
  IMAGEMILL_MAX_IMAGE_PIXELS: count(1, 2 ** 31).default(100_000_000),
  IMAGEMILL_DECODE_TIMEOUT_MS: count(100, 3_600_000).default(30_000),
  /** A compute process without progress for this long is killed, and the shard tried again. */
  IMAGEMILL_WATCHDOG_MS: count(500, 3_600_000).default(120_000),
  IMAGEMILL_SHARD_ATTEMPTS: count(1, 100).default(5),
  /** How long a worker's claim on a job outlives its last sign of life. */
  IMAGEMILL_LOCK_MS: count(1_000, 600_000).default(10_000),

  ...tracingVariables,
});

type Variables = z.infer<typeof environmentSchema>;

export interface S3Settings {
  readonly endpoint?: string;
  readonly region: string;
  readonly pathStyle: boolean;
  readonly checksums: 'when-supported' | 'when-required';
  readonly attempts: number;
  readonly connections: number;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** The environment, parsed once. Everything below the command line receives values from here, never `process.env`. */
export interface Settings {
  /** Undefined: run embedded. */
  readonly redisUrl: string | undefined;
  readonly redisTls: RedisTls | undefined;
  readonly queuePrefix: string;
  /** Location of the index of runs. */
  readonly home: string;
  readonly logLevel: Variables['IMAGEMILL_LOG_LEVEL'];
  readonly s3: S3Settings;
  readonly worker: WorkerSettings;
  readonly dashboard: DashboardSettings;
  /** Undefined: no traces. */
  readonly tracing: TracingSettings | undefined;
}

export interface DashboardSettings {
  readonly token: string | undefined;
  readonly viewerToken: string | undefined;
}

export interface WorkerSettings {
  readonly fetchConcurrency: number;
  /** undefined: as many as there are cores */
  readonly decodeConcurrency: number | undefined;
  /** undefined: as many as there are cores */
  readonly engineThreads: number | undefined;
  /** Where setup:tensorflow builds. */
  readonly tensorflowDirectory: string;
  readonly batchSize: number;
  readonly maxImageBytes: number;
  readonly maxImagePixels: number;
  readonly decodeTimeoutMs: number;
  readonly watchdogMs: number;
  readonly shardAttempts: number;
  readonly lockMs: number;
  /** CUDA_VISIBLE_DEVICES; undefined: all of them, in the driver's order */
  readonly visibleGpus: string | undefined;
}

/**
 * Reads the environment.
 * @throws ImagemillError CONFIG_INVALID with every fault in one line
 */
export function readSettings(env: Record<string, string | undefined>): Settings {
  // An empty variable is an unset one, as in `REDIS_URL= imagemill …`.
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const result = environmentSchema.safeParse(present);
  const redisTls = readRedisTls(present);
  if (!result.success || redisTls.faults.length > 0) {
    const faults = (result.error?.issues ?? []).map(
      (issue) =>
        `${issue.path.join('.')}=${withoutUserInfo(present[String(issue.path[0])])}: ${issue.message}`,
    );
    throw new ImagemillError('CONFIG_INVALID', `environment: ${[...faults, ...redisTls.faults].join('; ')}`);
  }
  const vars = result.data;
  return {
    redisUrl: vars.REDIS_URL,
    redisTls: redisTls.tls,
    queuePrefix: vars.IMAGEMILL_QUEUE_PREFIX,
    home: vars.IMAGEMILL_HOME ?? join(vars.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'imagemill'),
    logLevel: vars.IMAGEMILL_LOG_LEVEL,
    s3: s3Settings(vars),
    worker: {
      fetchConcurrency: vars.IMAGEMILL_FETCH_CONCURRENCY,
      decodeConcurrency: vars.IMAGEMILL_DECODE_CONCURRENCY,
      engineThreads: vars.IMAGEMILL_ENGINE_THREADS,
      // Libraries are loaded by absolute paths only.
      tensorflowDirectory: resolve(vars.IMAGEMILL_TENSORFLOW ?? BUILT_TENSORFLOW),
      batchSize: vars.IMAGEMILL_BATCH_SIZE,
      maxImageBytes: vars.IMAGEMILL_MAX_IMAGE_BYTES,
      maxImagePixels: vars.IMAGEMILL_MAX_IMAGE_PIXELS,
      decodeTimeoutMs: vars.IMAGEMILL_DECODE_TIMEOUT_MS,
      watchdogMs: vars.IMAGEMILL_WATCHDOG_MS,
      shardAttempts: vars.IMAGEMILL_SHARD_ATTEMPTS,
      lockMs: vars.IMAGEMILL_LOCK_MS,
      visibleGpus: vars.CUDA_VISIBLE_DEVICES,
    },
    tracing: tracingSettings(vars),
    dashboard: { token: vars.IMAGEMILL_TOKEN, viewerToken: vars.IMAGEMILL_VIEWER_TOKEN },
  };
}

function s3Settings(vars: Variables): S3Settings {
  return {
    ...(vars.IMAGEMILL_S3_ENDPOINT === undefined ? {} : { endpoint: vars.IMAGEMILL_S3_ENDPOINT }),
    region: vars.IMAGEMILL_S3_REGION ?? vars.AWS_REGION ?? vars.AWS_DEFAULT_REGION ?? 'us-east-1',
    pathStyle: vars.IMAGEMILL_S3_PATH_STYLE ?? vars.IMAGEMILL_S3_ENDPOINT !== undefined,
    // Servers behind a custom endpoint often predate the SDK's default checksums and answer 411 or store them as data.
    checksums:
      vars.IMAGEMILL_S3_CHECKSUMS ??
      (vars.IMAGEMILL_S3_ENDPOINT === undefined ? 'when-supported' : 'when-required'),
    attempts: vars.IMAGEMILL_S3_ATTEMPTS,
    connections: vars.IMAGEMILL_S3_CONNECTIONS,
    connectTimeoutMs: vars.IMAGEMILL_S3_CONNECT_TIMEOUT_MS,
    idleTimeoutMs: vars.IMAGEMILL_S3_IDLE_TIMEOUT_MS,
  };
}
