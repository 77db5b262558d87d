const MS_PER_SECOND = 1_000;
const MICROSECONDS_PER_SECOND = 1e6;

/** Seconds of processor time that this process has used in all its threads, in user and in system mode. */
export function cpuSecondsOfThisProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / MICROSECONDS_PER_SECOND;
}

/** How many cores a process kept busy between two looks. */
export class CpuMeter {
  #last: { readonly pid: number; readonly cpuSeconds: number; readonly atMs: number } | null = null;

  /**
   * @param pid of the process, which may be another than the last time
   * @param cpuSeconds it has used in its life
   * @returns 1 for one core that was busy all the time; null at the first look at a process
   */
  coresSinceLast(pid: number, cpuSeconds: number, nowMs: number): number | null {
    const last = this.#last;
    if (last?.pid === pid && nowMs <= last.atMs) return null;
    this.#last = { pid, cpuSeconds, atMs: nowMs };
    if (last?.pid !== pid) return null;
    return Math.max(0, cpuSeconds - last.cpuSeconds) / ((nowMs - last.atMs) / MS_PER_SECOND);
  }
}
