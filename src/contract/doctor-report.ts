/** What can compute on a machine: the document of `imagemill doctor --json`. */
import { z } from 'zod';
import { defineDocument } from './document.ts';

/**
 * What became of a small computation on a device:
 * `works`, `wrong` (other numbers than expected), `fails` (an error while it computed), `missing` (the device or a
 * library is not there, or does not load), `dies` (it ended its process), `hangs` (no answer in time).
 */
export const PROBE_STATES = ['works', 'wrong', 'fails', 'missing', 'dies', 'hangs'] as const;
export type ProbeState = (typeof PROBE_STATES)[number];

const count = z.number().int().nonnegative();

const probeFields = {
  state: z.enum(PROBE_STATES),
  /** Why it does not work, or what is to be said of it all the same; null: nothing. */
  detail: z.string().nullable(),
  /** The shared library that could not be found, as `libcudnn.so.9`; null: none that is known of. */
  lacks: z.string().nullable(),
  /** From the start of the process until its answer or its end; 0 where nothing was started. */
  seconds: z.number().nonnegative(),
};

const deviceSchema = z.object({ device: z.string(), ...probeFields });
export type DeviceReport = z.infer<typeof deviceSchema>;

const candidateSchema = z.object({
  package: z.string(),
  origin: z.enum(['built', 'installed']),
  directory: z.string(),
  /** Of the package; `tensorflow` is that of the library under it, null where it did not say. */
  version: z.string(),
  tensorflow: z.string().nullable(),
  usesGpu: z.boolean().nullable(),
  ...probeFields,
});
export type CandidateReport = z.infer<typeof candidateSchema>;

const gpuSchema = z.object({
  index: count,
  uuid: z.string(),
  name: z.string(),
  memoryBytes: count.nullable(),
  /** `9.0`; null where the driver does not tell. */
  computeCapability: z.string().nullable(),
});

/** What a worker with `--device auto` would do: devices are null where it could not. */
const choiceSchema = z.object({
  labelsOn: z.string().nullable(),
  trainsOn: z.string().nullable(),
  /** Why not; null: it can. */
  fault: z.string().nullable(),
});
export type EngineChoice = z.infer<typeof choiceSchema>;

const remedySchema = z.object({
  what: z.string(),
  command: z.string(),
  /** Whether imagemill labels and trains without it. */
  optional: z.boolean(),
});
export type Remedy = z.infer<typeof remedySchema>;

export const doctorReportDocument = defineDocument('doctor-report', 1, {
  /** Of imagemill. */
  version: z.string(),
  node: z.string(),
  platform: z.string(),
  architecture: z.string(),
  /** `glibc 2.36` or `musl`; null on systems that are not Linux. */
  libc: z.string().nullable(),
  /** That this process may use. */
  cores: z.number().int().positive(),
  /** Of the machine, or of the control group where that allows less. */
  memoryBytes: count,
  nvidia: z.object({
    /** `550.54.15`; null: no driver is loaded. */
    driver: z.string().nullable(),
    /** CUDA_VISIBLE_DEVICES; null where it is unset. */
    visible: z.string().nullable(),
    /** As nvidia-smi lists them; null: it gave no list. */
    gpus: z.array(gpuSchema).nullable(),
  }),
  onnxruntime: z.object({ version: z.string().nullable(), devices: z.array(deviceSchema) }),
  tensorflow: z.object({
    /** Where setup:tensorflow builds. */
    directory: z.string(),
    /** In the order in which workers try them. */
    candidates: z.array(candidateSchema),
  }),
  decoder: z.object({ sharp: z.string(), libvips: z.string() }),
  redis: z.object({
    /** `embedded`: without REDIS_URL. */
    kind: z.enum(['embedded', 'shared']),
    /** null: it can be used. */
    fault: z.string().nullable(),
  }),
  verdict: z.object({ onnxruntime: choiceSchema, tensorflow: choiceSchema }),
  remedies: z.array(remedySchema),
});
export type DoctorReport = z.infer<typeof doctorReportDocument.schema>;
