/** What `imagemill doctor` tells a person. */
import type {
  CandidateReport,
  DeviceReport,
  DoctorReport,
  EngineChoice,
  ProbeState,
} from '../contract/doctor-report.ts';
import { takenOf } from '../pipeline/engine/doctor/verdict.ts';
import { HOW_TO_GET_IT } from '../pipeline/engine/tensorflow/how-to-get-it.ts';
import { DRIVER_FILE } from '../pipeline/engine/tensorflow/load-library.ts';
import { printableLine } from '../telemetry/printable.ts';

const BYTES_PER_GIB = 1024 ** 3;
const HEAD_WIDTH = 13;
const ENGINE_WIDTH = 22;

/** Before the detail; `dies` and `hangs` say it themselves. */
const STATE_WORDS: Record<ProbeState, string> = {
  works: 'works',
  wrong: 'computes wrong numbers',
  fails: 'fails',
  missing: 'cannot be used',
  dies: '',
  hangs: 'hangs',
};

/** The report, top to bottom. What it quotes (names, places, faults) begins no lines of its own. */
export function doctorText(report: DoctorReport): string {
  const lines = [
    ...machineLines(report),
    ...nvidiaLines(report),
    ...onnxruntimeLines(report),
    ...tensorflowLines(report),
    row('decoder', `sharp ${report.decoder.sharp}, libvips ${report.decoder.libvips}`),
    row('redis', redisText(report.redis)),
    '',
    ...verdictLines(report),
    ...remedyLines(report),
  ];
  return lines.map((line) => `${/^ */.exec(line)?.[0] ?? ''}${printableLine(line)}`).join('\n');
}

function machineLines(report: DoctorReport): string[] {
  const { version, node, platform, architecture, libc, cores, memoryBytes } = report;
  return [
    row('imagemill', `${version}, Node ${node}`),
    row(
      'machine',
      `${platform} ${architecture}${libc === null ? '' : `, ${libc}`}, ${cores} cores, ${gibibytes(memoryBytes)} memory`,
    ),
  ];
}

function nvidiaLines({ nvidia }: DoctorReport): string[] {
  const { driver, visible, gpus } = nvidia;
  if (driver === null) return [row('GPUs', `no NVIDIA driver is loaded (${DRIVER_FILE} is missing)`)];
  const limits = visible === null ? '' : `, CUDA_VISIBLE_DEVICES=${visible}`;
  const list = gpus === null ? ', nvidia-smi gives no list' : gpus.length === 0 ? ', no device' : '';
  return [
    row('GPUs', `NVIDIA driver ${driver}${limits}${list}`),
    ...(gpus ?? []).map(({ index, name, memoryBytes, computeCapability }) =>
      under(
        String(index),
        [
          name,
          ...(memoryBytes === null ? [] : [gibibytes(memoryBytes)]),
          ...(computeCapability === null ? [] : [`compute capability ${computeCapability}`]),
        ].join(', '),
      ),
    ),
  ];
}

function onnxruntimeLines({ onnxruntime, nvidia }: DoctorReport): string[] {
  const { version, devices } = onnxruntime;
  const lines = devices.map((device) => under(device.device, outcomeText(device)));
  // It was not tried: the answer is known.
  if (nvidia.driver === null) lines.splice(1, 0, under('cuda', 'cannot be used: no NVIDIA driver is loaded'));
  return [row('onnxruntime', version ?? 'is not installed'), ...lines];
}

function tensorflowLines({ tensorflow }: DoctorReport): string[] {
  const { candidates, directory } = tensorflow;
  if (candidates.length === 0) {
    return [row('tensorflow', `none in ${directory}, none installed`), under('', HOW_TO_GET_IT)];
  }
  const taken = takenOf(candidates);
  return [
    row('tensorflow', `tried in this order; setup:tensorflow builds in ${directory}`),
    ...candidates.map((candidate, index) =>
      under(String(index + 1), candidateText(candidate, candidate === taken && candidate.state === 'works')),
    ),
  ];
}

function candidateText(candidate: CandidateReport, isTaken: boolean): string {
  const { package: name, version, origin, tensorflow, usesGpu } = candidate;
  const facts =
    tensorflow === null
      ? ''
      : `, TensorFlow ${tensorflow} ${usesGpu === true ? 'on a GPU' : 'on the processor'}`;
  return `${name} ${version} (${origin})${facts}: ${outcomeText(candidate)}${isTaken ? ' ← workers take it' : ''}`;
}

function outcomeText({ state, detail, lacks, seconds }: Omit<DeviceReport, 'device'>): string {
  const library = lacks === null || detail?.includes(lacks) === true ? '' : ` (${lacks} is missing)`;
  const told = [STATE_WORDS[state], detail ?? ''].filter((part) => part !== '').join(': ');
  return state === 'works'
    ? `works (${seconds.toFixed(1)} s)${detail === null ? '' : `; ${detail}`}`
    : `${told}${library}`;
}

function redisText({ kind, fault }: DoctorReport['redis']): string {
  if (fault !== null) return fault;
  return kind === 'shared' ? 'REDIS_URL answers' : 'redis-server is installed; REDIS_URL is not set';
}

function verdictLines({ verdict }: DoctorReport): string[] {
  return [
    'imagemill worker --device auto',
    under('--engine onnxruntime', choiceText(verdict.onnxruntime), ENGINE_WIDTH),
    under('--engine tensorflow', choiceText(verdict.tensorflow), ENGINE_WIDTH),
  ];
}

function choiceText({ labelsOn, trainsOn, fault }: EngineChoice): string {
  const why = fault === null ? '' : ` (${fault})`;
  if (labelsOn === trainsOn)
    return `${labelsOn === null ? 'computes nothing' : `labels and trains on ${labelsOn}`}${why}`;
  return `labels on ${labelsOn ?? 'nothing'}, trains on ${trainsOn ?? 'nothing'}${why}`;
}

function remedyLines({ remedies }: DoctorReport): string[] {
  if (remedies.length === 0) return [];
  return [
    '',
    'to mend',
    ...remedies.flatMap(({ what, command, optional }) => [
      `  ${optional ? 'optional: ' : ''}${what}`,
      `    ${command}`,
    ]),
  ];
}

function row(head: string, text: string): string {
  return `${head.padEnd(HEAD_WIDTH)}${text}`;
}

function under(head: string, text: string, width = HEAD_WIDTH - 2): string {
  return `  ${head.padEnd(width)}${text}`;
}

function gibibytes(bytes: number): string {
  return `${(bytes / BYTES_PER_GIB).toFixed(1)} GiB`;
}
