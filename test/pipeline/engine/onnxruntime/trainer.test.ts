import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { OnnxruntimeTrainer } from '../../../../src/pipeline/engine/onnxruntime/trainer.ts';
import type { TrainerSpec, TrainingState } from '../../../../src/pipeline/engine/trainer.ts';
import { parametersOf, type Architecture } from '../../../../src/pipeline/model/architecture.ts';
import {
  STANDARD_FORM,
  type ConvolutionForm,
} from '../../../../src/pipeline/model/onnx/training/convolution-form.ts';
import type { StateDict } from '../../../../src/pipeline/model/weights/state-dict.ts';
import { coversParameter } from '../../../../src/pipeline/recipe/architecture-of.ts';
import { batchOf, initialWeights, partOf, trainingCase } from '../../../reference/training/cases.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { CPU } from '../support.ts';
import { distance, FORMS, openStep, stateAfter } from '../training-support.ts';

const training = trainingCase('alexnet-small');
const { spec } = training;
const fresh: TrainingState = { weights: initialWeights(training), velocities: new Map() };
const RATE = 0.001;
const at = (step: number, micro = 0) => ({ epoch: 1, step, micro });

function freezing(...prefixes: string[]): TrainerSpec {
  const parameters = [...spec.parameters].map(([name, group]) => {
    const trained = !prefixes.some((prefix) => coversParameter(prefix, name));
    return [name, { ...group, trained }] as const;
  });
  return { ...spec, parameters: new Map(parameters) };
}

/** Whose micro-batches have the same masks as the whole batch: none. */
function withoutDropout(architecture: Architecture): Architecture {
  const blocks = architecture.blocks.map((block) => ({
    ...block,
    layers: block.layers.map((layer) => (layer.kind === 'dropout' ? { ...layer, probability: 0 } : layer)),
  }));
  return { ...architecture, blocks };
}

/** SHA-256 of every tensor: comparing millions of numbers one by one takes the test runner minutes. */
function digests(tensors: StateDict): Record<string, string> {
  const digest = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
    createHash('sha256')
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest('hex');
  return Object.fromEntries([...tensors].map(([name, { data }]) => [name, digest(data)]));
}

/** The state after some steps. */
async function trained(wanted: TrainerSpec, form: ConvolutionForm, steps: readonly number[], state = fresh) {
  const trainer = await OnnxruntimeTrainer.create(wanted, form, state, CPU);
  for (const step of steps) await trainer.train(batchOf(training, step, 0), at(step), RATE);
  const { weights, velocities } = trainer.state();
  await trainer.close();
  return { weights, velocities, bits: [digests(weights), digests(velocities)] };
}

const NETS: [string, TrainerSpec][] = [
  ['alexnet-small', spec],
  ['a net with Nesterov momentum', { ...spec, sgd: { momentum: 0.9, nesterov: true } }],
  ['a net whose lower layers are frozen', freezing('features.0', 'features.3', 'features.6')],
  ['a net whose lowest trained parameter is a bias', freezing('features.0.weight')],
];

describe.each(FORMS)('a trainer with $title', ({ form, present }) => {
  const title = (text: string): string => titleNeeding('an x64 processor', present, text);

  it.skipIf(!present).each(NETS)(
    title('gives %s the weights that it has where no buffer is shared'),
    async (_, wanted) => {
      const graph = await openStep(wanted, form);
      let state = fresh;
      for (const step of [0, 1, 2]) {
        const outputs = await graph.run(batchOf(training, step, 0), at(step), {
          ...state,
          learningRate: RATE,
        });
        state = stateAfter(wanted, outputs, state.weights);
      }
      await graph.close();
      const { bits } = await trained(wanted, form, [0, 1, 2]);
      expect(bits).toEqual([digests(state.weights), digests(state.velocities)]);
    },
  );

  it.skipIf(!present)(title('gives the same bits twice, and when it goes on from a state'), async () => {
    const whole = await trained(spec, form, [0, 1, 2, 3, 4]);
    const again = await trained(spec, form, [0, 1, 2, 3, 4]);
    const half = await trained(spec, form, [0, 1]);
    const resumed = await trained(spec, form, [2, 3, 4], half);
    expect(again.bits).toEqual(whole.bits);
    expect(resumed.bits).toEqual(whole.bits);
    expect((await trained({ ...spec, seed: spec.seed + 1 }, form, [0])).bits).not.toEqual(
      (await trained(spec, form, [0])).bits,
    );
  });

  it.skipIf(!present)(title('leaves what is frozen as it is, and keeps no velocities of it'), async () => {
    const { weights, velocities } = await trained(freezing('features', 'classifier.1.bias'), form, [0, 1]);
    const names = ['classifier.1.weight', 'classifier.4.weight', 'classifier.4.bias'];
    expect([...velocities.keys()]).toEqual([...names, 'classifier.6.weight', 'classifier.6.bias']);
    for (const { name } of parametersOf(spec.architecture)) {
      const change = distance(weights.get(name)?.data ?? [], fresh.weights.get(name)?.data ?? []);
      if (velocities.has(name)) expect(change).toBeGreaterThan(0);
      else expect(change).toBe(0);
    }
  });

  it.skipIf(!present)(title('adds micro-batches up to the batch'), async () => {
    const dry = { ...spec, architecture: withoutDropout(spec.architecture) };
    const whole = await trained(dry, form, [0, 1]);
    const trainer = await OnnxruntimeTrainer.create({ ...dry, microBatchSize: 2 }, form, fresh, CPU);
    for (const step of [0, 1]) {
      for (const micro of [0, 1]) {
        const before = digests(trainer.state().weights);
        const part = partOf(batchOf(training, step, 0), 2 * micro, 2 * micro + 2);
        expect((await trainer.train(part, at(step, micro), RATE)).items).toBe(2);
        if (micro === 0) expect(digests(trainer.state().weights)).toEqual(before);
      }
    }
    for (const [name, { data }] of trainer.state().velocities) {
      expect(distance(data, whole.velocities.get(name)?.data ?? [])).toBeLessThan(1e-5);
    }
    await trainer.close();
  });

  it.skipIf(!present)(
    title('evaluates without training, and counts only the items that there are'),
    async () => {
      const trainer = await OnnxruntimeTrainer.create(spec, form, fresh, CPU);
      const batch = batchOf(training, 0, 0);
      const all = await trainer.evaluate(batch, 4);
      const three = await trainer.evaluate(batch, 3);
      const last = await trainer.evaluate(partOf(batch, 3, 7), 1).catch((error: unknown) => error);
      expect(last).toBeInstanceOf(Error);
      expect([all.items, three.items]).toEqual([4, 3]);
      expect(three.lossSum).toBeLessThan(all.lossSum);
      expect(digests(trainer.state().weights)).toEqual(digests(fresh.weights));
      await trainer.close();
    },
  );
});

describe('a trainer', () => {
  it('refuses a state that lacks a weight, and batches that lack what the recipe needs', async () => {
    const weights = new Map([...fresh.weights].slice(1));
    await expect(OnnxruntimeTrainer.create(spec, STANDARD_FORM, { ...fresh, weights }, CPU)).rejects.toThrow(
      'expected 1200 values of features.0.weight to train from',
    );
    const colourful = await OnnxruntimeTrainer.create({ ...spec, colour: true }, STANDARD_FORM, fresh, CPU);
    await expect(colourful.train(batchOf(training, 0, 0), at(0), RATE)).rejects.toThrow(
      'expected colour transforms with a micro-batch',
    );
    await colourful.close();
  });

  it('refuses a network with nothing to train', async () => {
    await expect(
      OnnxruntimeTrainer.create(freezing('features', 'classifier'), STANDARD_FORM, fresh, CPU),
    ).rejects.toThrow('alexnet-small: expected a parameter that is not frozen');
  });
});
