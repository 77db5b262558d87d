import { availableParallelism, totalmem } from 'node:os';

export interface Machine {
  readonly node: string;
  readonly platform: string;
  readonly architecture: string;
  /** `glibc 2.36` or `musl`; null on systems that are not Linux. */
  readonly libc: string | null;
  /** That this process may use. */
  readonly cores: number;
  /** Of the machine, or of the control group where that allows less. */
  readonly memoryBytes: number;
}

export function describeMachine(): Machine {
  return {
    node: process.versions.node,
    platform: process.platform,
    architecture: process.arch,
    libc: process.platform === 'linux' ? linuxLibc() : null,
    cores: availableParallelism(),
    memoryBytes: memoryOf(totalmem(), process.constrainedMemory()),
  };
}

/** @param constrainedBytes of the control group; 0: unknown, and more than the machine has: no limit */
export function memoryOf(totalBytes: number, constrainedBytes: number): number {
  return constrainedBytes > 0 ? Math.min(totalBytes, constrainedBytes) : totalBytes;
}

/** Node names the glibc that it runs on; the other one that it is built for is musl. */
function linuxLibc(): string {
  const source = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Otherwise the name of every connection's other end is looked up. The types of Node 20 do not know it yet.
  source.excludeNetwork = true;
  const { header } = source.getReport() as { header?: { glibcVersionRuntime?: string } };
  const version = header?.glibcVersionRuntime;
  return version === undefined ? 'musl' : `glibc ${version}`;
}
