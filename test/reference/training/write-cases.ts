/**
 * Writes the inputs of training cases for make-reference.py:
 *
 *     npx tsx test/reference/training/write-cases.ts FOLDER [NAME …]
 *
 * `<name>.json` describes the network and the optimizer; `<name>.weights` holds every parameter in the order of the
 * layers, `<name>.images` every variant of every step's batch, `<name>.masks` every step's masks; numbers are little-endian.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parametersOf, placeLayers, product } from '../../../src/pipeline/model/architecture.ts';
import { fillDropoutMask } from '../../../src/pipeline/model/dropout-mask.ts';
import { masksOf } from '../../../src/pipeline/model/onnx/training/training-network.ts';
import {
  batchOf,
  EPOCH,
  initialWeights,
  STEPS,
  TRAINING_CASES,
  trainingCase,
  VARIANTS,
  type TrainingCase,
} from './cases.ts';

export function writeCase(folder: string, training: TrainingCase): void {
  const { name, spec, learningRate } = training;
  const { architecture, batchSize } = spec;
  const steps = Array.from({ length: STEPS }, (_, step) => step);
  const variants = Array.from({ length: VARIANTS }, (_, variant) => variant);
  const batches = steps.map((step) => batchOf(training, step, 0));
  const description = {
    steps: STEPS,
    variants: VARIANTS,
    batchSize,
    input: architecture.input,
    preprocessing: spec.preprocessing,
    layers: placeLayers(architecture).map(({ layer, path, input }) => ({ ...layer, path, input })),
    parameters: parametersOf(architecture).map(({ name, shape }) => ({
      name,
      shape,
      ...spec.parameters.get(name),
    })),
    sgd: { ...spec.sgd, learningRate },
    labelSmoothing: spec.labelSmoothing,
    labels: batches.map(({ labels }) => [...labels]),
    colour: batches.map(
      ({ colour }) =>
        colour && {
          matrices: [...colour.matrices],
          greyShifts: [...colour.greyShifts],
          shifts: [...colour.shifts],
        },
    ),
  };
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(description));
  writeArrays(
    join(folder, `${name}.weights`),
    [...initialWeights(training).values()].map(({ data }) => data),
  );
  writeArrays(
    join(folder, `${name}.images`),
    steps.flatMap((step) => variants.map((variant) => batchOf(training, step, variant).images)),
  );
  writeArrays(
    join(folder, `${name}.masks`),
    steps.flatMap((step) => masksOfStep(training, step)),
  );
}

/** (batchSize, …shape) for every dropout layer, drawn a micro-batch at a time. */
function masksOfStep({ spec }: TrainingCase, step: number): Float32Array[] {
  const { batchSize, microBatchSize, seed } = spec;
  const microBatches = batchSize / microBatchSize;
  return masksOf(spec.architecture).map(({ shape, probability }, layer) => {
    const size = microBatchSize * product(shape);
    const mask = new Float32Array(microBatches * size);
    for (let micro = 0; micro < microBatches; micro++) {
      const batch = step * microBatches + micro;
      const part = mask.subarray(micro * size, (micro + 1) * size);
      fillDropoutMask(part, probability, { seed, epoch: EPOCH, batch, layer });
    }
    return mask;
  });
}

function writeArrays(path: string, arrays: readonly (Uint8Array | Float32Array)[]): void {
  const file = openSync(path, 'w');
  for (const { buffer, byteOffset, byteLength } of arrays) {
    writeSync(file, new Uint8Array(buffer, byteOffset, byteLength));
  }
  closeSync(file);
}

const [, program = '', folder, ...names] = process.argv;
if (import.meta.url === pathToFileURL(program).href && folder !== undefined) {
  const wanted = names.length === 0 ? TRAINING_CASES : names.map(trainingCase);
  for (const training of wanted) writeCase(folder, training);
}
