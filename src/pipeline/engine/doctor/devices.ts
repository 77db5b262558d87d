/** More devices than that are not tried one by one. */
const GPUS_TRIED_MAX = 16;

export interface NvidiaFacts {
  /** null: no driver is loaded. */
  readonly driver: string | null;
  /** How many the driver lists; null: unknown. */
  readonly listed: number | null;
  /** CUDA_VISIBLE_DEVICES; null: all of them. */
  readonly visible: string | null;
}

/** The devices of onnxruntime that are tried. A GPU is, wherever a driver is loaded: a worker would try it. */
export function devicesToTry({ driver, listed, visible }: NvidiaFacts): string[] {
  const seen = visible === null ? (listed ?? 1) : visible.split(',').length;
  const gpus = driver === null ? 0 : Math.min(Math.max(1, seen), GPUS_TRIED_MAX);
  return ['cpu', ...Array.from({ length: gpus }, (_, index) => `cuda:${index}`), 'webgpu'];
}
