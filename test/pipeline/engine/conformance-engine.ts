/** Engines as the conformance tests see them: the same is asked of each. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { OnnxruntimeTrainer } from '../../../src/pipeline/engine/onnxruntime/trainer.ts';
import { TensorflowNetwork, type Runtime } from '../../../src/pipeline/engine/tensorflow/network.ts';
import { augmentPixels, normalisePixels } from '../../../src/pipeline/engine/tensorflow/pixels.ts';
import { TensorflowTrainer } from '../../../src/pipeline/engine/tensorflow/trainer.ts';
import type {
  MicroBatch,
  Trainer,
  TrainerSpec,
  TrainingPosition,
  TrainingState,
} from '../../../src/pipeline/engine/trainer.ts';
import { product } from '../../../src/pipeline/model/architecture.ts';
import type { StateDict } from '../../../src/pipeline/model/weights/state-dict.ts';
import { CPU } from './support.ts';
import { LOGITS, openStep, type NamedForm } from './training-support.ts';

export interface ConformanceEngine {
  readonly title: string;
  /** What it needs of the machine, and whether that is there. */
  readonly needs: string;
  readonly present: boolean;
  create(spec: TrainerSpec, state: TrainingState): Promise<Trainer>;
  /** (rows × classes): what the network gives for a micro-batch in training, dropout included. */
  logits(
    spec: TrainerSpec,
    weights: StateDict,
    batch: MicroBatch,
    position: TrainingPosition,
  ): Promise<Float32Array>;
}

export function onnxruntime({ title, form, present }: NamedForm): ConformanceEngine {
  return {
    title: `onnxruntime, ${title}`,
    needs: 'an x64 processor',
    present,
    create: (spec, state) => OnnxruntimeTrainer.create(spec, form, state, CPU),
    async logits(spec, weights, batch, position) {
      const graph = await openStep(spec, form);
      const outputs = await graph.run(batch, position, {
        weights,
        velocities: new Map(),
        learningRate: 0,
      });
      await graph.close();
      return outputs.get(LOGITS) ?? new Float32Array();
    },
  };
}

/** @param runtime null where the machine lacks it */
export function tensorflow(title: string, runtime: Runtime | null, needs: string): ConformanceEngine {
  const use = (): Runtime => {
    if (runtime === null) throw new Error(`expected ${needs}`);
    return runtime;
  };
  return {
    needs,
    title: `tensorflow, ${title}`,
    present: runtime !== null,
    create: async (spec, state) => new TensorflowTrainer(use(), spec, state, { onNotice: () => {} }),
    logits: async (spec, weights, batch, position) => logitsOf(use(), spec, weights, batch, position),
  };
}

function logitsOf(
  runtime: Runtime,
  spec: TrainerSpec,
  weights: StateDict,
  { images, colour, mirrored }: MicroBatch,
  { epoch, step, micro }: TrainingPosition,
): Float32Array {
  const { tf, kernels } = runtime;
  const { architecture, preprocessing, batchSize, microBatchSize: rows, seed } = spec;
  const { height, width } = architecture.input;
  const network = new TensorflowNetwork(runtime, architecture, weights, null);
  const batch = step * (batchSize / rows) + micro;
  const logits = tf.tidy(() => {
    const pixels = kernels.stage(images, [rows, height, width, 3]).take(mirrored);
    const input =
      colour === null
        ? normalisePixels(runtime, pixels, preprocessing)
        : augmentPixels(runtime, pixels, colour, preprocessing);
    return network.forward(input, {
      rows,
      gradientsFrom: network.stages.length,
      mask: ({ mask, probability, input: shape }): Tensor =>
        kernels.dropoutMask([rows, product(shape)], probability, { seed, epoch, batch, layer: mask }),
    }).logits;
  });
  const values = Float32Array.from(logits.dataSync());
  logits.dispose();
  network.dispose();
  return values;
}
