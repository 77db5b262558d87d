import fc from 'fast-check';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gpuFactsSchema } from '../../src/contract/worker-report.ts';
import { gpuOfDevice, listGpus, NvidiaSmi, parseGpus } from '../../src/workers/nvidia-smi.ts';

const MIB = 1024 * 1024;
const TWO_GPUS = `0, GPU-5d1d2b2c-3f1e-8b1c-9a43-0f6c9a2d7e10, NVIDIA H100 80GB HBM3, 37, 1234, 81559
1, GPU-9e3a77f0-0c55-4b4e-86a2-6b1f0c7d2a31, NVIDIA H100 80GB HBM3, 0, 4, 81559
`;

describe('what nvidia-smi prints', () => {
  it('is read line by line', () => {
    expect(parseGpus(TWO_GPUS)).toEqual([
      {
        index: 0,
        uuid: 'GPU-5d1d2b2c-3f1e-8b1c-9a43-0f6c9a2d7e10',
        facts: {
          name: 'NVIDIA H100 80GB HBM3',
          utilisation: 0.37,
          memoryUsedBytes: 1234 * MIB,
          memoryTotalBytes: 81559 * MIB,
        },
      },
      {
        index: 1,
        uuid: 'GPU-9e3a77f0-0c55-4b4e-86a2-6b1f0c7d2a31',
        facts: {
          name: 'NVIDIA H100 80GB HBM3',
          utilisation: 0,
          memoryUsedBytes: 4 * MIB,
          memoryTotalBytes: 81559 * MIB,
        },
      },
    ]);
  });

  it.each([
    ['[N/A]', null],
    ['[Not Supported]', null],
    ['[Unknown Error]', null],
    ['N/A', null],
    ['100', 1],
  ])('has figures that may be missing: %s', (cell, utilisation) => {
    const [gpu] = parseGpus(`0, GPU-1, NVIDIA A100-SXM4-40GB, ${cell}, [N/A], [N/A]`);
    expect(gpu?.facts).toEqual({
      name: 'NVIDIA A100-SXM4-40GB',
      utilisation,
      memoryUsedBytes: null,
      memoryTotalBytes: null,
    });
  });

  it.each([
    'No devices were found\n',
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n",
    'Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.54\n',
    'Unable to determine the device handle for GPU0000:01:00.0: Unknown Error\n',
    'Field "utilization.gpus" is not a valid field to query.\n',
    '',
  ])('may be no device at all: %s', (output) => {
    expect(parseGpus(output)).toEqual([]);
  });

  it('gives facts of the agreed form or none, whatever it says', () => {
    const cell = fc.oneof(fc.string(), fc.nat().map(String), fc.constantFrom('[N/A]', '0', 'GPU-1'));
    const output = fc
      .array(fc.array(cell, { maxLength: 9 }).map((cells) => cells.join(', ')))
      .map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(output, (text) => {
        for (const { facts } of parseGpus(text)) expect(gpuFactsSchema.parse(facts)).toEqual(facts);
      }),
    );
  });
});

describe('the device of a worker', () => {
  it.each([
    ['cpu', true, undefined, null],
    ['webgpu', true, undefined, null],
    ['auto', false, undefined, null],
    ['auto', true, undefined, { index: 0 }],
    ['cuda:1', true, undefined, { index: 1 }],
    ['cuda:1', true, '4,6', { index: 6 }],
    ['auto', true, 'GPU-9e3a77f0', { uuid: 'GPU-9e3a77f0' }],
    ['cuda:2', true, '4,6', null],
    ['cuda:0', true, 'MIG-c7384736-a75d-5afc-978f-d2f1294409fd', null],
  ])('%s is found among those of the driver (driver %s, visible %s)', (device, driver, visible, found) => {
    expect(gpuOfDevice(device, driver, visible)).toEqual(found);
  });
});

describe('asking nvidia-smi', () => {
  const path = process.env['PATH'];
  let folder: string;
  let nowMs: number;
  const watch = () => new NvidiaSmi({ index: 1 }, () => nowMs);
  const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n').length;

  /** Puts a program in the place of the real one; it notes every call. */
  function install(script: string): void {
    const file = join(folder, 'nvidia-smi');
    writeFileSync(file, `#!/bin/sh\necho "$*" >> ${folder}/calls\n${script}\n`);
    chmodSync(file, 0o755);
  }

  beforeEach(() => {
    nowMs = 0;
    folder = mkdtempSync(join(tmpdir(), 'imagemill-test-smi-'));
    process.env['PATH'] = `${folder}:/usr/bin:/bin`;
  });

  afterEach(() => {
    process.env['PATH'] = path;
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds the worker’s own device, at most every 5 s', async () => {
    install(`cat <<'END'\n${TWO_GPUS}END`);
    const gpu = watch();
    expect(gpu.read()).toBeNull();
    await gpu.refresh();
    expect(gpu.read()).toMatchObject({ utilisation: 0, memoryUsedBytes: 4 * MIB });
    nowMs = 4_999;
    await gpu.refresh();
    expect(calls()).toBe(1);
    nowMs = 5_000;
    await Promise.all([gpu.refresh(), gpu.refresh()]);
    expect(calls()).toBe(2);
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toContain('--format=csv,noheader,nounits');
  });

  it('knows nothing of a device that the driver does not list, or that it fails on, and asks again', async () => {
    install(`echo 'No devices were found'; exit 6`);
    const gpu = watch();
    await gpu.refresh();
    expect(gpu.read()).toBeNull();
    install(`cat <<'END'\n${TWO_GPUS}END`);
    nowMs = 5_000;
    await gpu.refresh();
    expect(gpu.read()).toMatchObject({ utilisation: 0 });
  });

  it('gives up after 2 s a program that does not end', async () => {
    install('exec sleep 60');
    const gpu = watch();
    const startedAtMs = performance.now();
    await gpu.refresh();
    expect(performance.now() - startedAtMs).toBeLessThan(4_000);
    expect(gpu.read()).toBeNull();
  });

  it('does not look again for a program that is not there', async () => {
    process.env['PATH'] = folder;
    const gpu = watch();
    await gpu.refresh();
    install(`cat <<'END'\n${TWO_GPUS}END`);
    nowMs = 60_000;
    await gpu.refresh();
    expect(gpu.read()).toBeNull();
    expect(() => calls()).toThrow('ENOENT');
  });

  it('lists all devices, with their compute capability where the driver tells it', async () => {
    install(
      `case "$1" in *compute_cap*) printf '0, 9.0\\n1, [N/A]\\n';; *) cat <<'END'\n${TWO_GPUS}END\n;; esac`,
    );
    expect(await listGpus()).toMatchObject([
      { index: 0, facts: { name: 'NVIDIA H100 80GB HBM3' }, computeCapability: '9.0' },
      { index: 1, computeCapability: null },
    ]);
    install(`case "$1" in *compute_cap*) exit 2;; *) cat <<'END'\n${TWO_GPUS}END\n;; esac`);
    expect(await listGpus()).toMatchObject([{ computeCapability: null }, { computeCapability: null }]);
  });

  it('has no list where the program fails, or is not there', async () => {
    install('exit 9');
    expect(await listGpus()).toBeNull();
    process.env['PATH'] = folder;
    rmSync(join(folder, 'nvidia-smi'));
    expect(await listGpus()).toBeNull();
  });
});
