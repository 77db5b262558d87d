import type { CandidateReport, DeviceReport, DoctorReport } from '../../src/contract/doctor-report.ts';

const PROBE = { state: 'works', detail: null, lacks: null, seconds: 0.5 } as const;

export const deviceReport = (device: string, more: Partial<DeviceReport> = {}): DeviceReport => ({
  device,
  ...PROBE,
  ...more,
});

export const candidateReport = (more: Partial<CandidateReport> = {}): CandidateReport => ({
  package: '@tensorflow/tfjs-node',
  origin: 'built',
  directory: '/cache/node_modules/@tensorflow/tfjs-node',
  version: '4.22.0',
  tensorflow: '2.18.1',
  usesGpu: false,
  ...PROBE,
  ...more,
});

export const NVIDIA: DoctorReport['nvidia'] = {
  driver: '550.54.15',
  visible: null,
  gpus: [
    {
      index: 0,
      uuid: 'GPU-5d1d',
      name: 'NVIDIA H100',
      memoryBytes: 80 * 1024 ** 3,
      computeCapability: '9.0',
    },
  ],
};

/** Of a machine without a GPU or TensorFlow, on which imagemill works. */
export const doctorReport = (more: Partial<DoctorReport> = {}): DoctorReport => ({
  schema: 'imagemill.doctor-report/1',
  version: '0.1.0',
  node: '22.0.0',
  platform: 'linux',
  architecture: 'x64',
  libc: 'glibc 2.36',
  cores: 2,
  memoryBytes: 8 * 1024 ** 3,
  nvidia: { driver: null, visible: null, gpus: null },
  onnxruntime: { version: '1.30.0', devices: [deviceReport('cpu')] },
  tensorflow: { directory: '/cache', candidates: [] },
  decoder: { sharp: '0.35.5', libvips: '8.18.7' },
  redis: { kind: 'embedded', fault: null },
  verdict: {
    onnxruntime: { labelsOn: 'cpu', trainsOn: 'cpu', fault: null },
    tensorflow: { labelsOn: null, trainsOn: null, fault: 'no TensorFlow is here' },
  },
  remedies: [],
  ...more,
});
