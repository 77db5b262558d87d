import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { GpuFacts } from '../contract/worker-report.ts';

const FIELDS = 'index,uuid,name,utilization.gpu,memory.used,memory.total';
const FIELDS_BEFORE_NAME = 2;
const FIELDS_AFTER_NAME = 3;
const BYTES_PER_MIB = 1024 * 1024;
const ASK_EVERY_MS = 5_000;
const TIMEOUT_MS = 2_000;
/** More devices than one machine has ever had. */
const OUTPUT_BYTES_MAX = 256 * 1024;
const DRIVER = '/proc/driver/nvidia/version';

/** A device as the driver lists it. */
export interface ListedGpu {
  readonly index: number;
  readonly uuid: string;
  readonly facts: GpuFacts;
}

/**
 * Reads what `nvidia-smi --query-gpu=… --format=csv,noheader,nounits` printed. Lines that are not a device (a warning,
 * "No devices were found") are left out; figures in brackets, such as `[N/A]`, are null.
 */
export function parseGpus(output: string): ListedGpu[] {
  return output.split('\n').flatMap((line) => parseGpu(line) ?? []);
}

function parseGpu(line: string): ListedGpu | null {
  const cells = line.split(',').map((cell) => cell.trim());
  if (cells.length < FIELDS_BEFORE_NAME + 1 + FIELDS_AFTER_NAME) return null;
  const [index = '', uuid = ''] = cells;
  const [utilisation, usedMib, totalMib] = cells.slice(-FIELDS_AFTER_NAME).map(figure);
  if (!/^\d{1,4}$/.test(index)) return null;
  return {
    index: Number(index),
    uuid,
    facts: {
      // A comma in a name would be one of the format's own.
      name: cells.slice(FIELDS_BEFORE_NAME, -FIELDS_AFTER_NAME).join(', '),
      utilisation: isNumber(utilisation) ? Math.min(1, utilisation / 100) : null,
      memoryUsedBytes: isNumber(usedMib) ? Math.round(usedMib * BYTES_PER_MIB) : null,
      memoryTotalBytes: isNumber(totalMib) ? Math.round(totalMib * BYTES_PER_MIB) : null,
    },
  };
}

function figure(cell: string): number | null {
  return /^\d{1,12}(\.\d+)?$/.test(cell) ? Number(cell) : null;
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === 'number';
}

/** Which of the driver's devices is the worker's; null where it works on none of them. */
export type GpuChoice = { readonly index: number } | { readonly uuid: string } | null;

/**
 * @param device of the worker: `auto`, `cpu`, `cuda:N` or `webgpu`
 * @param hasDriver what `auto` means depends on it
 * @param visible CUDA_VISIBLE_DEVICES, which renumbers the devices: `cuda:0` is the first one in it
 */
export function gpuOfDevice(device: string, hasDriver: boolean, visible: string | undefined): GpuChoice {
  const number = device === 'auto' && hasDriver ? '0' : /^cuda:(\d+)$/.exec(device)?.[1];
  if (number === undefined) return null;
  if (visible === undefined) return { index: Number(number) };
  const name = visible.split(',')[Number(number)]?.trim() ?? '';
  if (/^\d{1,4}$/.test(name)) return { index: Number(name) };
  return name.startsWith('GPU-') ? { uuid: name } : null;
}

/** What can be asked how busy the device is. */
export interface GpuWatch {
  /** What was found last, at most 5 s old where the driver answers; asks anew in the background. Never throws. */
  read(): GpuFacts | null;
}

/** Watches the device of a worker by asking `nvidia-smi`, which is on every machine with the driver. */
export function watchGpu(device: string, visible: string | undefined): GpuWatch {
  return new NvidiaSmi(gpuOfDevice(device, existsSync(DRIVER), visible));
}

/** One question at a time, at most every 5 s, of at most 2 s. A machine without the program is not asked again. */
export class NvidiaSmi implements GpuWatch {
  readonly #choice: GpuChoice;
  readonly #nowMs: () => number;
  #facts: GpuFacts | null = null;
  #asking: Promise<void> | null = null;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #isAbsent = false;

  constructor(choice: GpuChoice, nowMs: () => number = () => performance.now()) {
    this.#choice = choice;
    this.#nowMs = nowMs;
  }

  read(): GpuFacts | null {
    void this.refresh();
    return this.#facts;
  }

  /** Asks, unless that was done within the last 5 s; resolves when the answer is there, whatever it is. */
  async refresh(): Promise<void> {
    if (this.#choice === null || this.#isAbsent) return;
    if (this.#asking === null && this.#nowMs() - this.#askedAtMs >= ASK_EVERY_MS) {
      this.#askedAtMs = this.#nowMs();
      this.#asking = this.#ask(this.#choice).finally(() => (this.#asking = null));
    }
    await this.#asking;
  }

  async #ask(choice: NonNullable<GpuChoice>): Promise<void> {
    try {
      const gpus = parseGpus(await query(FIELDS, TIMEOUT_MS));
      this.#facts = gpus.find((gpu) => isChosen(gpu, choice))?.facts ?? null;
    } catch (error) {
      this.#facts = null;
      this.#isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
  }
}

/** Runs the program. @throws what execFile throws */
async function query(fields: string, timeoutMs: number): Promise<string> {
  const { stdout } = await promisify(execFile)(
    'nvidia-smi',
    [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'],
    { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_BYTES_MAX, windowsHide: true },
  );
  return stdout;
}

/** A driver that nothing has used yet takes seconds per device to wake. */
const LIST_TIMEOUT_MS = 20_000;

/** The driver's devices, each with its compute capability (`9.0`); null where nvidia-smi gives no list. */
export async function listGpus(): Promise<(ListedGpu & { computeCapability: string | null })[] | null> {
  try {
    const gpus = parseGpus(await query(FIELDS, LIST_TIMEOUT_MS));
    // Drivers before 470 refuse a question that has this in it.
    const capabilities = await query('index,compute_cap', LIST_TIMEOUT_MS).catch(() => '');
    const known = new Map(
      [...capabilities.matchAll(/^(\d{1,4}), (\d{1,2}\.\d)\s*$/gm)].map(([, index, capability = '']) => [
        Number(index),
        capability,
      ]),
    );
    return gpus.map((gpu) => ({ ...gpu, computeCapability: known.get(gpu.index) ?? null }));
  } catch {
    return null;
  }
}

function isChosen(gpu: ListedGpu, choice: NonNullable<GpuChoice>): boolean {
  // The variable may give the beginning of a UUID.
  return 'index' in choice ? gpu.index === choice.index : gpu.uuid.startsWith(choice.uuid);
}
