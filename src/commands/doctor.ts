import { describeMachine } from '../config/machine.ts';
import { VERSION } from '../config/version.ts';
import {
  doctorReportDocument,
  type CandidateReport,
  type DeviceReport,
  type DoctorReport,
} from '../contract/doctor-report.ts';
import { asImagemillError, EXIT } from '../contract/errors.ts';
import { decoderVersions } from '../pipeline/decode/versions.ts';
import { devicesToTry } from '../pipeline/engine/doctor/devices.ts';
import { probeEngine, type ProbeOptions } from '../pipeline/engine/doctor/probe-engine.ts';
import {
  canCompute,
  chooseOnnxruntime,
  chooseTensorflow,
  remediesOf,
  type Findings,
} from '../pipeline/engine/doctor/verdict.ts';
import { onnxruntimeVersion } from '../pipeline/engine/onnxruntime/try-device.ts';
import { findLibraries, type Candidate } from '../pipeline/engine/tensorflow/find-library.ts';
import { driverVersion } from '../pipeline/engine/tensorflow/load-library.ts';
import { listGpus } from '../workers/nvidia-smi.ts';
import type { Context } from './context.ts';
import { doctorText } from './doctor-text.ts';
import { ProgressLine } from './progress-line.ts';
import { checkQueues, sharedQueue } from './with-queues.ts';

/** `imagemill doctor`: tries every device and library there is, and says what workers would compute on. */
export async function doctor(context: Context, options: { json: boolean }): Promise<number> {
  const progress = new ProgressLine(context.stderr);
  let report: DoctorReport;
  try {
    report = await examine(context, (what) => progress.show(`trying ${what}`));
  } catch (error) {
    if (!context.interrupted.aborted) throw error;
    return EXIT.interrupted;
  } finally {
    progress.end();
  }
  context.stdout.write(options.json ? `${JSON.stringify(report)}\n` : `${doctorText(report)}\n`);
  return canCompute(report) ? EXIT.done : EXIT.failed;
}

async function examine(context: Context, onTry: (what: string) => void): Promise<DoctorReport> {
  const probing = { environment: context.environment, signal: context.interrupted };
  const machine = describeMachine();
  const nvidia = await nvidiaFacts(context);
  const { tensorflowDirectory } = context.settings.worker;
  // One after the other: each is timed, and takes memory of the same GPU.
  const devices: DeviceReport[] = [];
  for (const device of devicesToTry({ ...nvidia, listed: nvidia.gpus?.length ?? null })) {
    onTry(`onnxruntime on ${device}`);
    devices.push(await tryDevice(device, probing));
  }
  const candidates: CandidateReport[] = [];
  for (const candidate of findLibraries(tensorflowDirectory)) {
    onTry(`${candidate.package} ${candidate.version}`);
    candidates.push(await tryCandidate(candidate, probing));
  }
  const findings: Findings = {
    libc: machine.libc,
    nvidia,
    onnxruntime: { version: onnxruntimeVersion(), devices },
    tensorflow: { directory: tensorflowDirectory, candidates },
    redis: await redisFacts(context),
  };
  return {
    schema: doctorReportDocument.id,
    version: VERSION,
    ...machine,
    ...findings,
    decoder: decoderVersions(),
    verdict: { onnxruntime: chooseOnnxruntime(findings), tensorflow: chooseTensorflow(findings) },
    remedies: remediesOf(findings),
  };
}

async function nvidiaFacts({ settings }: Context): Promise<DoctorReport['nvidia']> {
  const driver = driverVersion();
  const gpus = driver === null ? null : await listGpus();
  return {
    driver,
    visible: settings.worker.visibleGpus ?? null,
    gpus:
      gpus?.map(({ index, uuid, facts, computeCapability }) => ({
        index,
        uuid,
        name: facts.name,
        memoryBytes: facts.memoryTotalBytes,
        computeCapability,
      })) ?? null,
  };
}

async function tryDevice(device: string, probing: ProbeOptions): Promise<DeviceReport> {
  const { state, detail, lacks, seconds } = await probeEngine({ engine: 'onnxruntime', device }, probing);
  return { device, state, detail, lacks, seconds };
}

async function tryCandidate(candidate: Candidate, probing: ProbeOptions): Promise<CandidateReport> {
  const { fault, ...facts } = candidate;
  if (fault === null) {
    return {
      ...facts,
      ...(await probeEngine({ engine: 'tensorflow', candidate: { ...facts, fault } }, probing)),
    };
  }
  return {
    ...facts,
    state: 'missing',
    detail: fault,
    lacks: null,
    tensorflow: null,
    usesGpu: null,
    seconds: 0,
  };
}

async function redisFacts(context: Context): Promise<DoctorReport['redis']> {
  const kind = sharedQueue(context) === null ? 'embedded' : 'shared';
  try {
    await checkQueues(context);
    return { kind, fault: null };
  } catch (error) {
    return { kind, fault: asImagemillError(error).message };
  }
}
