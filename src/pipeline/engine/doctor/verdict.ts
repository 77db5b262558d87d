/** What workers would compute on, and what mends what is missing: pure functions of what was found. */
import type {
  CandidateReport,
  DeviceReport,
  DoctorReport,
  EngineChoice,
  Remedy,
} from '../../../contract/doctor-report.ts';

/** Everything the verdict depends on. */
export type Findings = Pick<DoctorReport, 'libc' | 'nvidia' | 'onnxruntime' | 'tensorflow' | 'redis'>;

/** Whether imagemill labels and trains here: the exit code of `imagemill doctor`. */
export function canCompute({ onnxruntime }: Pick<Findings, 'onnxruntime'>): boolean {
  return deviceIn(onnxruntime.devices, 'cpu')?.state === 'works';
}

/** As workers with `--engine onnxruntime --device auto`: see LoadedModels and TrainAttempts. */
export function chooseOnnxruntime({ nvidia, onnxruntime }: Findings): EngineChoice {
  const [cpu, gpu] = ['cpu', 'cuda:0'].map((name) => deviceIn(onnxruntime.devices, name));
  const trainsOn = cpu?.state === 'works' ? 'cpu' : null;
  const cpuFault = trainsOn === null ? `cpu: ${cpu?.detail ?? 'was not tried'}` : null;
  // A device that cannot be opened is passed over; what happens after that ends the job.
  if (nvidia.driver === null || gpu === undefined || gpu.state === 'missing') {
    return { labelsOn: trainsOn, trainsOn, fault: cpuFault };
  }
  if (gpu.state === 'works') return { labelsOn: 'cuda:0', trainsOn, fault: cpuFault };
  return { labelsOn: null, trainsOn, fault: `cuda:0: ${gpu.detail}: give --device cpu` };
}

/** As workers with `--engine tensorflow --device auto`: see loadLibrary, which takes the first that loads. */
export function chooseTensorflow({ tensorflow }: Pick<Findings, 'tensorflow'>): EngineChoice {
  const taken = takenOf(tensorflow.candidates);
  if (taken === undefined) {
    const fault =
      tensorflow.candidates.length === 0 ? 'no TensorFlow is here' : 'no TensorFlow that is here loads';
    return { labelsOn: null, trainsOn: null, fault };
  }
  if (taken.state !== 'works') {
    const fault = `${taken.package} (${taken.origin}): ${taken.detail}`;
    return { labelsOn: null, trainsOn: null, fault };
  }
  const device = taken.usesGpu === true ? 'cuda:0' : 'cpu';
  return { labelsOn: device, trainsOn: device, fault: null };
}

/** The TensorFlow that workers take, or that ends them. */
export function takenOf(candidates: readonly CandidateReport[]): CandidateReport | undefined {
  return candidates.find(({ state }) => state !== 'missing');
}

/** Commands that mend what does not work, in the order of their use. */
export function remediesOf(findings: Findings): Remedy[] {
  const { redis } = findings;
  return [
    ...processorRemedies(findings),
    ...cudaRemedies(findings),
    ...tensorflowRemedies(findings),
    ...(redis.kind === 'embedded' && redis.fault !== null
      ? [
          {
            what: 'commands without REDIS_URL need redis-server',
            command: 'apt-get install redis-server',
            optional: true,
          },
        ]
      : []),
  ];
}

function processorRemedies(findings: Findings): Remedy[] {
  if (canCompute(findings)) return [];
  // What npm installs is built for glibc.
  if (findings.libc === 'musl') {
    const what = 'onnxruntime needs glibc, this system has musl: the image of infra/docker has it';
    return [{ what, command: 'docker build -f infra/docker/Dockerfile -t imagemill .', optional: false }];
  }
  return [{ what: 'onnxruntime does not compute: install it again', command: 'npm ci', optional: false }];
}

/** Packages of NVIDIA's repository for Debian and Ubuntu. */
const CUDNN = 'apt-get install libcudnn9-cuda-12';
const CUDA_LIBRARIES = 'apt-get install cuda-libraries-12-6';

function cudaRemedies({ nvidia, onnxruntime }: Findings): Remedy[] {
  const gpu = deviceIn(onnxruntime.devices, 'cuda:0');
  if (nvidia.driver === null || gpu?.state !== 'missing' || gpu.lacks === null) return [];
  if (gpu.lacks.startsWith('libonnxruntime_providers_')) {
    const what = "onnxruntime on GPUs needs its CUDA provider, which npm's package has not";
    return [{ what, command: 'npm run setup:cuda', optional: true }];
  }
  const what = `onnxruntime on GPUs needs ${gpu.lacks} (packages of NVIDIA's repository)`;
  const command = gpu.lacks.startsWith('libcudnn') ? CUDNN : CUDA_LIBRARIES;
  return [{ what, command, optional: true }];
}

function tensorflowRemedies({ nvidia, tensorflow }: Findings): Remedy[] {
  const taken = takenOf(tensorflow.candidates);
  const build = `npm run setup:tensorflow${nvidia.driver === null ? '' : ' -- --cuda'}`;
  if (taken === undefined) {
    return [{ what: '--engine tensorflow needs a TensorFlow', command: build, optional: true }];
  }
  if (taken.state !== 'works') {
    const what = `${taken.package} (${taken.origin}) does not compute`;
    // What is installed could be tried before what is built.
    const command = taken.origin === 'built' ? build : `npm uninstall ${taken.package} && ${build}`;
    return [{ what, command, optional: true }];
  }
  if (nvidia.driver === null || taken.usesGpu === true || taken.package !== '@tensorflow/tfjs-node')
    return [];
  return [{ what: '--engine tensorflow on GPUs needs a build for them', command: build, optional: true }];
}

function deviceIn(devices: readonly DeviceReport[], name: string): DeviceReport | undefined {
  return devices.find(({ device }) => device === name);
}
