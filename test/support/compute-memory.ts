import { readdirSync, readFileSync } from 'node:fs';

const KIB = 1024;
const SAMPLE_MS = 50;

/** Watches the compute process of an embedded command. @param parent the process id of the command */
export function watchCompute(parent: number): { peakBytes(): number } {
  let peak = 0;
  const timer = setInterval(() => {
    for (const pid of computeProcesses(parent)) {
      // The kernel keeps the peak itself, so that a sample in time cannot miss one.
      const kib = /^VmHWM:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
      peak = Math.max(peak, Number(kib ?? 0) * KIB);
    }
  }, SAMPLE_MS);
  return {
    peakBytes() {
      clearInterval(timer);
      return peak;
    },
  };
}

function computeProcesses(parent: number): string[] {
  return readdirSync('/proc').filter(
    (pid) =>
      /^\d+$/.test(pid) &&
      read(`/proc/${pid}/status`).includes(`\nPPid:\t${parent}\n`) &&
      read(`/proc/${pid}/cmdline`).includes('compute-main'),
  );
}

/** Processes may end while they are looked at. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
