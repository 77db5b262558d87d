import { availableParallelism } from 'node:os';
import { withoutServices } from '../../config/without-services.ts';
import { tensorflowEnvironment } from '../../pipeline/engine/tensorflow/process-environment.ts';

/** Threads of libuv beside the decoding ones: file reads, name look-ups. */
const SPARE_POOL_THREADS = 2;

export interface ComputeProcess {
  readonly device: string;
  readonly engine: string;
  readonly decodeConcurrency: number | undefined;
}

/** The environment of a compute process, from that of the control process. */
export function computeEnvironment(
  { device, engine, decodeConcurrency }: ComputeProcess,
  env: NodeJS.ProcessEnv,
): Record<string, string | undefined> {
  return {
    ...withoutServices(env),
    ...(engine === 'tensorflow' ? tensorflowEnvironment(device, env) : {}),
    // Tensors of a hundred megabytes come and go with every batch. Handing their pages back to the system and
    // faulting them in again costs more than the arithmetic, so glibc is told to keep them.
    MALLOC_MMAP_MAX_: '0',
    MALLOC_TRIM_THRESHOLD_: '17179869184',
    // Other arenas than the first hand their pages back all the same, and the engine lives in a thread.
    MALLOC_ARENA_MAX: '1',
    UV_THREADPOOL_SIZE: String((decodeConcurrency ?? availableParallelism()) + SPARE_POOL_THREADS),
  };
}
