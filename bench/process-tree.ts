/** Memory and processor time of a process and all its descendants, from /proc. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';

const CLOCK_TICKS_PER_SECOND = 100;
const KIB = 1024;

/** Resident bytes of the tree; pages that processes share count once. */
export function treeMemoryBytes(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + memoryOf(pid), 0);
}

/** Processor seconds, user and system, that each process of the tree has used so far. */
export function treeCpuSeconds(root: number): Map<number, number> {
  return new Map(treeOf(root).map((pid) => [pid, cpuSecondsOf(pid)]));
}

/** Processor seconds that all processes of the machine have used so far. */
export function machineCpuSeconds(): number {
  // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; what a hypervisor steals is lost to us as well.
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = read('/proc/stat')
    .slice('cpu '.length, 200)
    .trim()
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softIrq + steal) / CLOCK_TICKS_PER_SECOND;
}

/** Samples the tree's memory until it is stopped. */
export function watchMemory(root: number, intervalMs: number): { stop(): number } {
  let peak = 0;
  const sample = () => (peak = Math.max(peak, treeMemoryBytes(root)));
  const timer = setInterval(sample, intervalMs);
  return {
    stop() {
      clearInterval(timer);
      return sample();
    },
  };
}

function treeOf(root: number): number[] {
  const pids = [root];
  for (const pid of pids) pids.push(...childrenOf(pid));
  return pids;
}

/** Any thread may have started a child. Processes and threads may end while they are looked at. */
function childrenOf(pid: number): number[] {
  return entries(`/proc/${pid}/task`).flatMap((thread) =>
    read(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
}

function memoryOf(pid: number): number {
  const kib = /^Pss:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1];
  return Number(kib ?? 0) * KIB;
}

function cpuSecondsOf(pid: number): number {
  // The command's name, in parentheses, may hold spaces: fields are counted behind it (proc(5): utime 14, stime 15).
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / CLOCK_TICKS_PER_SECOND;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
