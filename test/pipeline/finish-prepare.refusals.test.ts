import { describe, expect, it } from 'vitest';
import type { PrepareSpec } from '../../src/contract/run.ts';
import { finishPrepare } from '../../src/pipeline/finish-prepare.ts';
import { fakePrepareRun, fillSource, image, imageIn, prepareShards } from './prepare/support.ts';
import { errorOf, TestStores } from './source/support.ts';

async function refusal(
  objects: Record<string, Uint8Array>,
  spec: Partial<PrepareSpec> = {},
): Promise<string> {
  const stores = new TestStores();
  const run = fakePrepareRun(spec);
  const ledger = await prepareShards(stores, run, fillSource(stores, objects));
  const error = await errorOf(finishPrepare(ledger, run));
  expect(error.code).toBe('DATASET_CLASSES');
  expect(await ledger.store.head('dataset.json')).toBeNull();
  return error.message;
}

describe('what cannot be trained on', () => {
  it('is one class only', async () => {
    expect(
      await refusal({ 'cat/1.png': await image(1), 'cat/2.png': await image(2) }, { valFraction: 0 }),
    ).toBe('memory://source/: expected two classes or more, got one, "cat"');
  });

  it('is no class at all', async () => {
    expect(await refusal({ '1.png': await image(1) })).toBe(
      'memory://source/: expected two classes or more, got none',
    );
  });

  it('is a class whose images are all broken', async () => {
    const broken = Object.fromEntries(
      Array.from({ length: 5 }, (_, n) => [`dog/${n}.png`, Buffer.from(`broken ${n}`)]),
    );
    expect(await refusal({ 'cat/1.png': await image(1), ...broken }, { valFraction: 0, shardSize: 4 })).toBe(
      'class "dog": expected training images, got none: all 5 of its images are broken (see errors/)',
    );
  });

  it('is a class whose images all fell into the validation split', async () => {
    const { spec } = fakePrepareRun();
    const [cat, dog] = [await imageIn('train', spec), await imageIn('val', spec)];
    expect(await refusal({ 'cat/1.png': cat, 'dog/1.png': dog })).toBe(
      'class "dog": expected training images, got none: its only image is in the validation split; use another --seed or a smaller --val-fraction',
    );
  });

  it('is a class with some of both, and there may be more such classes', async () => {
    const { spec } = fakePrepareRun();
    const message = await refusal({
      'cat/1.png': await imageIn('train', spec),
      'dog/1.png': await imageIn('val', spec),
      'dog/2.png': Buffer.from('broken'),
      'emu/1.png': Buffer.from('broken too'),
    });
    expect(message).toMatch(
      /^class "dog": .* of its 2 images 1 is broken \(see errors\/\) and 1 is in the validation split; use .* \(and 1 more class without any\)$/,
    );
  });
});
