/** What TensorFlow reads from the environment of its process, before it is loaded. */

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Variables for a process that computes with TensorFlow on one device. A process sees one GPU at most: TensorFlow
 * would take the last of several, and memory on all of them.
 * @param device `auto`, `cpu` or `cuda:N`, N counted in CUDA_VISIBLE_DEVICES where that is set
 * @param env of the parent process: what is set there stays, but for the choice of the GPU
 */
export function tensorflowEnvironment(device: string, env: Environment): Record<string, string> {
  const standard: Record<string, string> = {
    // Without it the first process takes all the memory of a GPU that others may use as well.
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    // Warnings and errors only: it greets every process with its build's options.
    TF_CPP_MIN_LOG_LEVEL: '2',
  };
  const kept = Object.entries(standard).map(([name, value]) => [name, env[name] ?? value] as const);
  const threads = env['IMAGEMILL_ENGINE_THREADS'];
  return {
    ...Object.fromEntries(kept),
    ...(threads === undefined ? {} : { TF_NUM_INTRAOP_THREADS: threads }),
    CUDA_VISIBLE_DEVICES: visibleGpu(device, env['CUDA_VISIBLE_DEVICES']),
  };
}

/**
 * Whether a line of stderr only says how TensorFlow was built and what it uses. TF_CPP_MIN_LOG_LEVEL no longer holds
 * these back; whoever sets it wants to see them.
 */
export function isGreeting(line: string, env: Environment): boolean {
  if (env['TF_CPP_MIN_LOG_LEVEL'] !== undefined) return false;
  return /^I\d{4} |^WARNING: All log messages before absl::InitializeLog/.test(line);
}

/** `-1` hides all of them. */
function visibleGpu(device: string, visible: string | undefined): string {
  if (device === 'cpu') return '-1';
  const index = Number(/^cuda:(\d+)$/.exec(device)?.[1] ?? 0);
  if (visible === undefined) return String(index);
  const listed = visible
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  return listed[index] ?? '-1';
}
