import { describe, expect, it } from 'vitest';
import type { CandidateReport, DeviceReport } from '../../../../src/contract/doctor-report.ts';
import {
  canCompute,
  chooseOnnxruntime,
  chooseTensorflow,
  remediesOf,
} from '../../../../src/pipeline/engine/doctor/verdict.ts';
import { candidateReport, deviceReport, doctorReport, NVIDIA } from '../../../support/doctor-report.ts';

const withDevices = (...devices: DeviceReport[]) =>
  doctorReport({ nvidia: NVIDIA, onnxruntime: { version: '1.30.0', devices } });
const withCandidates = (...candidates: CandidateReport[]) =>
  doctorReport({ tensorflow: { directory: '/cache', candidates } });

const CPU = deviceReport('cpu');
const DEAD = { state: 'dies', detail: 'ends the process (SIGABRT)' } as const;
const ABSENT = { state: 'missing', detail: 'Failed to load shared library' } as const;

describe('what onnxruntime would compute on', () => {
  it('is a GPU for labelling where one works, and the processor for training', () => {
    const report = withDevices(CPU, deviceReport('cuda:0'));
    expect(chooseOnnxruntime(report)).toEqual({ labelsOn: 'cuda:0', trainsOn: 'cpu', fault: null });
  });

  it('is the processor where the provider is missing, or no driver is loaded', () => {
    const onCpu = { labelsOn: 'cpu', trainsOn: 'cpu', fault: null };
    expect(chooseOnnxruntime(withDevices(CPU, deviceReport('cuda:0', ABSENT)))).toEqual(onCpu);
    expect(chooseOnnxruntime(doctorReport())).toEqual(onCpu);
  });

  it('is nothing where the GPU is taken and does not compute: no worker falls back then', () => {
    const choice = chooseOnnxruntime(withDevices(CPU, deviceReport('cuda:0', DEAD)));
    expect(choice.labelsOn).toBeNull();
    expect(choice.trainsOn).toBe('cpu');
    expect(choice.fault).toBe('cuda:0: ends the process (SIGABRT): give --device cpu');
  });

  it('is nothing where not even the processor computes; that alone is a failure', () => {
    const report = withDevices(deviceReport('cpu', DEAD));
    expect(chooseOnnxruntime(report)).toMatchObject({ labelsOn: null, trainsOn: null });
    expect(canCompute(report)).toBe(false);
    expect(canCompute(withDevices(CPU, deviceReport('cuda:0', DEAD)))).toBe(true);
  });
});

describe('what TensorFlow would compute on', () => {
  it('is that of the first package that loads', () => {
    const gpu = candidateReport({ package: '@tensorflow/tfjs-node-gpu', ...ABSENT, tensorflow: null });
    expect(chooseTensorflow(withCandidates(gpu, candidateReport()))).toEqual({
      labelsOn: 'cpu',
      trainsOn: 'cpu',
      fault: null,
    });
    const working = candidateReport({ package: '@tensorflow/tfjs-node-gpu', usesGpu: true });
    expect(chooseTensorflow(withCandidates(working, candidateReport()))).toMatchObject({
      trainsOn: 'cuda:0',
    });
  });

  it('is nothing behind one that ends the process: a worker never gets to the next', () => {
    const choice = chooseTensorflow(withCandidates(candidateReport(DEAD), candidateReport()));
    expect(choice.labelsOn).toBeNull();
    expect(choice.fault).toBe('@tensorflow/tfjs-node (built): ends the process (SIGABRT)');
  });

  it('is nothing where there is none, or none loads', () => {
    expect(chooseTensorflow(withCandidates()).fault).toBe('no TensorFlow is here');
    expect(chooseTensorflow(withCandidates(candidateReport(ABSENT))).fault).toBe(
      'no TensorFlow that is here loads',
    );
  });
});

describe('what mends it', () => {
  const commandsOf = (report: Parameters<typeof remediesOf>[0]) =>
    remediesOf(report).map(({ command }) => command);

  it('is a build of TensorFlow, for GPUs where a driver is loaded', () => {
    expect(commandsOf(doctorReport())).toEqual(['npm run setup:tensorflow']);
    expect(commandsOf(withDevices(CPU))).toEqual(['npm run setup:tensorflow -- --cuda']);
    expect(commandsOf({ ...withCandidates(candidateReport()), nvidia: NVIDIA })).toEqual([
      'npm run setup:tensorflow -- --cuda',
    ]);
    expect(commandsOf(withCandidates(candidateReport()))).toEqual([]);
    expect(commandsOf(withCandidates(candidateReport(DEAD)))).toEqual(['npm run setup:tensorflow']);
    expect(commandsOf(withCandidates(candidateReport({ ...DEAD, origin: 'installed' })))).toEqual([
      'npm uninstall @tensorflow/tfjs-node && npm run setup:tensorflow',
    ]);
  });

  it.each([
    ['libonnxruntime_providers_shared.so', 'npm run setup:cuda'],
    ['libcudnn.so.9', 'apt-get install libcudnn9-cuda-12'],
    ['libcublasLt.so.12', 'apt-get install cuda-libraries-12-6'],
  ])('depends on what the CUDA provider lacks: %s', (lacks, command) => {
    const gpu = deviceReport('cuda:0', { ...ABSENT, lacks });
    const tensorflow = { directory: '/cache', candidates: [candidateReport({ usesGpu: true })] };
    expect(commandsOf({ ...withDevices(CPU, gpu), tensorflow })).toEqual([command]);
    // Without a driver the provider would be of no use.
    expect(commandsOf({ ...withDevices(CPU, gpu), tensorflow, nvidia: doctorReport().nvidia })).toEqual([]);
  });

  it('is not optional where imagemill does not compute at all', () => {
    const broken = withDevices(deviceReport('cpu', DEAD));
    expect(remediesOf(broken)[0]).toMatchObject({ command: 'npm ci', optional: false });
    const musl = remediesOf({ ...broken, libc: 'musl' })[0];
    expect(musl?.what).toContain('needs glibc');
  });

  it('is a Redis for commands without REDIS_URL; that of REDIS_URL is for others to mend', () => {
    const tensorflow = { directory: '/cache', candidates: [candidateReport()] };
    const fault = 'expected REDIS_URL or an installed redis-server, found neither';
    expect(commandsOf(doctorReport({ tensorflow, redis: { kind: 'embedded', fault } }))).toEqual([
      'apt-get install redis-server',
    ]);
    expect(commandsOf(doctorReport({ tensorflow, redis: { kind: 'shared', fault } }))).toEqual([]);
  });
});
