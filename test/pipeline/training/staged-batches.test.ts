import { setTimeout as later } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { SlabPool } from '../../../src/pipeline/batch/slab-pool.ts';
import { StagedBatches } from '../../../src/pipeline/training/staged-batches.ts';
import type { TrainingDevice } from '../../../src/pipeline/training/epoch-task.ts';
import type { FilledMicroBatch } from '../../../src/pipeline/training/training-batches.ts';

const SLABS = 3;
const RATE = 0.1;

/** Batches of one image, and a device that says what it was told, in order; an image's label is its step. */
function scene(steps: number, failsAt = Number.POSITIVE_INFINITY) {
  const slabs = new SlabPool(4, SLABS);
  const told: string[] = [];
  let finish: () => void = () => {};
  const device: Pick<TrainingDevice, 'stage'> = {
    stage(slab, { labels, colour, mirrored }) {
      const name = `${labels.join()}${colour === null ? '' : ' coloured'}${mirrored === null ? '' : ' mirrored'}`;
      told.push(`stage ${name}`);
      return {
        async train({ step }, learningRate) {
          told.push(`train ${step} at ${learningRate}`);
          await new Promise<void>((resolve) => (finish = resolve));
          return { slab, statistics: { items: 1, lossSum: step, top1Correct: 0, top5Correct: 0 } };
        },
        async release() {
          told.push(`release ${name}`);
          return slab;
        },
      };
    },
  };
  async function* batches(): AsyncGenerator<FilledMicroBatch> {
    for (let step = 0; step < steps; step++) {
      if (step === failsAt) throw new Error('no data');
      const batch = {
        labels: Int32Array.of(step),
        mirrored: Uint8Array.of(1),
        matrices: new Float32Array(9),
        greyShifts: new Float32Array(1),
        shifts: new Float32Array(3),
      };
      yield { slab: await slabs.acquire(), position: { epoch: 1, step, micro: 0 }, batch, count: 1 };
    }
    told.push('read all');
  }
  const open = (colour = false) => new StagedBatches(batches(), { device, slabs, colour });
  const trainNext = async (staged: StagedBatches): Promise<number> => {
    const next = await staged.next();
    if (next === null) throw new Error('expected a batch');
    const trained = next.train(RATE);
    await later(1);
    finish();
    return (await trained).lossSum;
  };
  const expectSlabsBack = async (): Promise<void> => {
    await Promise.all(Array.from({ length: SLABS }, () => slabs.acquire()));
    expect(await Promise.race([slabs.acquire().then(() => 'surplus'), later(5).then(() => null)])).toBeNull();
  };
  return { open, trainNext, told, expectSlabsBack };
}

describe('StagedBatches', () => {
  it('hands a batch over once the device is at work on the one before, and not sooner', async () => {
    const at = scene(3);
    const staged = at.open();
    expect(await at.trainNext(staged)).toBe(0);
    expect(at.told).toEqual(['stage 0 mirrored', 'train 0 at 0.1', 'stage 1 mirrored']);
    await later(5);
    // Only one ahead, however long nobody asks.
    expect(at.told).toHaveLength(3);
    expect([await at.trainNext(staged), await at.trainNext(staged)]).toEqual([1, 2]);
    expect(at.told.slice(3)).toEqual(['train 1 at 0.1', 'stage 2 mirrored', 'train 2 at 0.1', 'read all']);
    expect(await staged.next()).toBeNull();
    await staged.close();
    await at.expectSlabsBack();
  });

  it('takes back what was handed over when it is closed', async () => {
    const at = scene(9);
    const staged = at.open(true);
    await at.trainNext(staged);
    await staged.close();
    expect(at.told.slice(-2)).toEqual(['stage 1 coloured mirrored', 'release 1 coloured mirrored']);
    await at.expectSlabsBack();
  });

  it('fails with what keeps a batch from coming, in its turn', async () => {
    const at = scene(3, 1);
    const staged = at.open();
    expect(await at.trainNext(staged)).toBe(0);
    await expect(staged.next()).rejects.toThrow('no data');
    await staged.close();
    await at.expectSlabsBack();
  });
});
