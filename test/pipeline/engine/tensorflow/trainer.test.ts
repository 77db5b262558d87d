import { describe, expect, it } from 'vitest';
import type { Runtime } from '../../../../src/pipeline/engine/tensorflow/network.ts';
import { TensorflowTrainer } from '../../../../src/pipeline/engine/tensorflow/trainer.ts';
import type { TrainingState } from '../../../../src/pipeline/engine/trainer.ts';
import { batchOf, initialWeights, partOf, trainingCase } from '../../../reference/training/cases.ts';
import { portableRuntime } from '../portable-tensorflow.ts';
import { mirror } from '../../decode/augmented-images.ts';
import { distance } from '../training-support.ts';

const TRAINING = trainingCase('odd-sizes');
const BATCH = batchOf(TRAINING, 0, 0);
const POSITION = { epoch: 1, step: 0, micro: 0 };
const FRESH: TrainingState = { weights: initialWeights(TRAINING), velocities: new Map() };

const runtime = await portableRuntime();

/** A device whose memory holds the activations of so many images. */
function withMemoryFor(images: number): Runtime {
  return {
    tf: runtime.tf,
    kernels: {
      ...runtime.kernels,
      maxPool(input, kernel, stride) {
        if (input.shape[0] <= images) return runtime.kernels.maxPool(input, kernel, stride);
        // As TensorFlow says it.
        throw new Error(
          'Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[3,18,15,16] and type float',
        );
      },
    },
  };
}

async function trainOnce(runtime: Runtime, notices: string[] = []) {
  const trainer = new TensorflowTrainer(runtime, TRAINING.spec, FRESH, {
    onNotice: (text) => notices.push(text),
  });
  try {
    const statistics = await trainer.train(BATCH, POSITION, 0.1);
    return { statistics, evaluation: await trainer.evaluate(BATCH, 2), state: trainer.state() };
  } finally {
    await trainer.close();
  }
}

describe("where the device's memory does not suffice", () => {
  it(
    'halves the rows that go through at a time, says so, and learns the same',
    { timeout: 60_000 },
    async () => {
      const notices: string[] = [];
      const whole = await trainOnce(runtime);
      const halved = await trainOnce(withMemoryFor(2), notices);
      expect(notices).toEqual([
        'out of device memory: from now on 2 of the 3 images of a micro-batch go through at a time; their gradients add up to the same',
      ]);
      for (const part of ['statistics', 'evaluation'] as const) {
        expect(halved[part].lossSum).toBeCloseTo(whole[part].lossSum, 4);
        expect(halved[part]).toMatchObject({
          items: whole[part].items,
          top1Correct: whole[part].top1Correct,
          top5Correct: whole[part].top5Correct,
        });
      }
      const { weights, velocities } = whole.state;
      for (const [name, { data }] of weights) {
        expect(distance(halved.state.weights.get(name)?.data ?? [], data), name).toBeLessThan(1e-6);
        const velocity = velocities.get(name)?.data ?? [];
        expect(distance(halved.state.velocities.get(name)?.data ?? [], velocity), name).toBeLessThan(1e-5);
      }
    },
  );

  it('fails with ENGINE_OUT_OF_MEMORY where one image is too many, and keeps no tensor', async () => {
    const notices: string[] = [];
    const before = runtime.tf.memory().numTensors;
    await expect(trainOnce(withMemoryFor(0), notices)).rejects.toMatchObject({
      code: 'ENGINE_OUT_OF_MEMORY',
      message: 'TensorFlow: OOM when allocating tensor with shape[3,18,15,16] and type float',
    });
    expect(notices).toHaveLength(2);
    expect(runtime.tf.memory().numTensors).toBe(before);
  });
});

/** Says when pixels of a micro-batch are copied and when they are taken; a micro-batch is told by its first byte. */
function told(events: string[], { tf, kernels }: Runtime = runtime): Runtime {
  return {
    tf,
    kernels: {
      ...kernels,
      stage(bytes, shape) {
        const staged = kernels.stage(bytes, shape);
        events.push(`stage ${bytes[0]} × ${shape[0]}`);
        return {
          take(mirrored) {
            events.push(`take ${bytes[0]}`);
            return staged.take(mirrored);
          },
          dispose() {
            events.push(`let go ${bytes[0]}`);
            staged.dispose();
          },
        };
      },
    },
  };
}

describe('stage', () => {
  const named = (name: number) => {
    const batch = { ...BATCH, images: BATCH.images.slice() };
    batch.images[0] = name;
    return batch;
  };
  const [first, second] = [named(11), named(22)];

  it('is heard while the device trains, and spares the copy later', { timeout: 60_000 }, async () => {
    const events: string[] = [];
    const trainer = new TensorflowTrainer(told(events), TRAINING.spec, FRESH, { onNotice: () => {} });
    trainer.stage(first);
    // As a message to the thread would come: after whatever the thread does at present.
    const comes = new Promise<void>((resolve) => {
      setImmediate(() => {
        trainer.stage(second);
        resolve();
      });
    });
    const trained = trainer.train(first, POSITION, 0.1).then(() => events.push('trained 11'));
    await Promise.all([comes, trained]);
    expect(events).toEqual(['stage 11 × 3', 'take 11', 'stage 22 × 3', 'trained 11']);
    await trainer.train(second, { ...POSITION, step: 1 }, 0.1);
    expect(events.slice(4)).toEqual(['take 22']);
    await trainer.close();
  });

  it('changes no result, nor does what is not trained on after all', { timeout: 60_000 }, async () => {
    const learn = async (stages: boolean) => {
      const events: string[] = [];
      const trainer = new TensorflowTrainer(told(events), TRAINING.spec, FRESH, { onNotice: () => {} });
      if (stages) for (const batch of [first, second]) trainer.stage(batch);
      if (stages) trainer.unstage(second);
      await trainer.train(first, POSITION, 0.1);
      if (stages) trainer.stage(second);
      const { weights } = trainer.state();
      await trainer.close();
      return { weights, events };
    };
    const [plain, staged] = [await learn(false), await learn(true)];
    for (const [name, { data }] of plain.weights) expect(staged.weights.get(name)?.data).toEqual(data);
    expect(staged.events).toEqual([
      'stage 11 × 3',
      'stage 22 × 3',
      'let go 22',
      'take 11',
      'stage 22 × 3',
      'let go 22',
    ]);
  });

  it('is in vain once parts of a micro-batch go through by themselves', { timeout: 60_000 }, async () => {
    const events: string[] = [];
    const trainer = new TensorflowTrainer(told(events, withMemoryFor(2)), TRAINING.spec, FRESH, {
      onNotice: () => {},
    });
    for (const batch of [first, second]) trainer.stage(batch);
    await trainer.train(first, POSITION, 0.1);
    await trainer.train(second, { ...POSITION, step: 1 }, 0.1);
    trainer.stage(first);
    // The names of the second parts are their own first bytes.
    expect(events.filter((event) => / (11|22)\b/.test(event))).toEqual([
      'stage 11 × 3',
      'stage 22 × 3',
      'take 11',
      'stage 11 × 2',
      'take 11',
      'let go 22',
      'stage 22 × 2',
      'take 22',
    ]);
    await trainer.close();
  });
});

describe('train', () => {
  it('mirrors the images that it is told to, and no others', { timeout: 60_000 }, async () => {
    const { height, width } = TRAINING.spec.architecture.input;
    const size = height * width * 3;
    const lossOf = async (batch: typeof BATCH, mirrored: Uint8Array | null): Promise<number> => {
      const trainer = new TensorflowTrainer(runtime, TRAINING.spec, FRESH, { onNotice: () => {} });
      const { lossSum } = await trainer.train({ ...batch, mirrored }, POSITION, 0.1);
      await trainer.close();
      return lossSum;
    };
    const images = BATCH.images.slice();
    images.set(mirror(images.subarray(size, 2 * size), { width, height }), size);
    const expected = await lossOf({ ...BATCH, images }, null);
    expect(await lossOf(BATCH, Uint8Array.of(0, 1, 0))).toBe(expected);
    expect(await lossOf(BATCH, null)).not.toBe(expected);
  });

  it('begins a batch anew where an earlier one was left in its middle', { timeout: 60_000 }, async () => {
    const spec = { ...TRAINING.spec, microBatchSize: 1 };
    const parts = [0, 1, 2].map((item) => partOf(BATCH, item, item + 1));
    const learn = async (abandoned: number): Promise<TrainingState> => {
      const trainer = new TensorflowTrainer(runtime, spec, FRESH, { onNotice: () => {} });
      for (let micro = 0; micro < abandoned; micro++) {
        await trainer.train(parts[micro] ?? BATCH, { ...POSITION, micro }, 0.1);
      }
      for (const [micro, part] of parts.entries()) await trainer.train(part, { ...POSITION, micro }, 0.1);
      const state = trainer.state();
      await trainer.close();
      return state;
    };
    const [straight, again] = [await learn(0), await learn(2)];
    for (const [name, { data }] of straight.weights) expect(again.weights.get(name)?.data).toEqual(data);
  });

  it('refuses a network in which everything is frozen', () => {
    const spec = { ...TRAINING.spec, parameters: new Map() };
    expect(() => new TensorflowTrainer(runtime, spec, FRESH, { onNotice: () => {} })).toThrow(
      'odd-sizes: expected a parameter that is not frozen',
    );
  });
});
