/** Sessions of ONNX Runtime: the only place that loads the library. */
import type * as onnxruntime from 'onnxruntime-node';
import type { InferenceSession, Tensor, TypedTensor } from 'onnxruntime-node';
import { ImagemillError, type ErrorCode } from '../../../contract/errors.ts';

type Onnxruntime = typeof onnxruntime;

export interface SessionOptions {
  /** `cpu`, `cuda:N` or `webgpu`. */
  readonly device: string;
  /** Threads that compute one operator. */
  readonly threads: number;
  /**
   * For finding out whether a device works: an operator that it lacks is refused rather than computed on the processor,
   * and the library says on stderr what it could not load. Of the first session of a process.
   */
  readonly diagnosing?: boolean;
}

export interface OnnxSession {
  readonly session: InferenceSession;
  readonly runtime: Onnxruntime;
}

/** onnxruntime's LogSeverity: errors are thrown, so nothing but the end of the process needs a line on stderr. */
const LOG_FATAL = 4;

/**
 * Creates a session. Blocks the thread for seconds with a large graph.
 * @throws ImagemillError ENGINE_UNAVAILABLE where the library or the device is missing, ENGINE_FAILED where the graph
 *   is refused
 */
export async function createSession(onnx: Uint8Array, options: SessionOptions): Promise<OnnxSession> {
  const { diagnosing = false } = options;
  const executionProviders = providersOf(options.device, diagnosing);
  const runtime = await loadLibrary(diagnosing);
  try {
    const session = await runtime.InferenceSession.create(onnx, {
      executionProviders,
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      logSeverityLevel: LOG_FATAL,
      // Idle threads must not spin: the decoder needs the cores between two batches.
      extra: {
        session: {
          intra_op: { allow_spinning: '0' },
          inter_op: { allow_spinning: '0' },
          ...(diagnosing && options.device !== 'cpu' ? { disable_cpu_ep_fallback: '1' } : {}),
        },
      },
    });
    return { session, runtime };
  } catch (error) {
    if (options.device === 'cpu') throw engineError('ENGINE_FAILED', 'onnxruntime refuses the graph', error);
    throw engineError('ENGINE_UNAVAILABLE', `onnxruntime cannot use the device ${options.device}`, error);
  }
}

/** uint8 images, (rows, height, width, 3). */
export function imageTensor(
  runtime: Onnxruntime,
  pixels: Uint8Array,
  shape: readonly [rows: number, height: number, width: number, channels: 3],
): TypedTensor<'uint8'> {
  return new runtime.Tensor('uint8', pixels, shape);
}

/** @throws ImagemillError ENGINE_FAILED */
export async function runSession(session: InferenceSession, images: Tensor): Promise<Tensor[]> {
  const [input = ''] = session.inputNames;
  try {
    const results = await session.run({ [input]: images });
    return session.outputNames.flatMap((name) => results[name] ?? []);
  } catch (error) {
    throw engineError('ENGINE_FAILED', 'onnxruntime failed on a batch', error);
  }
}

/**
 * Runs a session whose results go into the buffers of `fetches`; these may be buffers of `feeds`.
 * @throws ImagemillError ENGINE_FAILED
 */
export async function runInPlace(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  fetches: Record<string, Tensor>,
): Promise<void> {
  try {
    await session.run(feeds, fetches);
  } catch (error) {
    throw engineError('ENGINE_FAILED', 'onnxruntime failed on a batch', error);
  }
}

const SOURCE_LINE = /^\S+\.(?:cc|cpp|cu|h|hpp):\d+ /;
/** A C++ signature: return type, qualified name, arguments (with one level of parentheses), and what may follow. */
const SIGNATURE = /^[^(]*\((?:[^()]|\([^()]*\))*\)(?:::<lambda\([^)]*\)>)?(?: const)?(?: \[with [^\]]*\])? /;
const STATUS_CODE = /^\[ONNXRuntimeError\] : \d+ : \w+ : /;
const CONDITION = /^.* was false\. /;

/** One sentence of what ONNX Runtime says, without its status codes, source files, signatures and conditions. */
export function plainOrtMessage(message: string): string {
  const status = /Status Message: (.*)$/s.exec(message)?.[1] ?? message;
  const line = status.replaceAll(/\s+/g, ' ').trim().replace(STATUS_CODE, '');
  if (!SOURCE_LINE.test(line)) return line;
  return line.replace(SOURCE_LINE, '').replace(SIGNATURE, '').replace(STATUS_CODE, '').replace(CONDITION, '');
}

function engineError(code: ErrorCode, what: string, error: unknown): ImagemillError {
  const message = error instanceof Error ? error.message : String(error);
  return new ImagemillError(code, `${what}: ${plainOrtMessage(message)}`, { cause: error });
}

function providersOf(device: string, alone: boolean): InferenceSession.ExecutionProviderConfig[] {
  const cuda = /^cuda:(\d+)$/.exec(device);
  const processor = alone ? [] : ['cpu'];
  if (cuda !== null) return [{ name: 'cuda', deviceId: Number(cuda[1]) }, ...processor];
  if (device === 'webgpu') return ['webgpu', ...processor];
  if (device === 'cpu') return ['cpu'];
  throw new ImagemillError(
    'ENGINE_UNAVAILABLE',
    `expected a device cpu, cuda:N or webgpu for the engine onnxruntime, got "${device}"`,
  );
}

async function loadLibrary(diagnosing: boolean): Promise<Onnxruntime> {
  try {
    const runtime = await import('onnxruntime-node');
    // Providers log through the environment, which has no severity per session.
    runtime.env.logLevel = diagnosing ? 'error' : 'fatal';
    return runtime;
  } catch (error) {
    throw engineError('ENGINE_UNAVAILABLE', 'the library onnxruntime-node cannot be loaded', error);
  }
}
