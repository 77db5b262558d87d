import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import type { Augmentation } from '../../../src/contract/recipe.ts';
import { centreAugmentation, drawAugmentation } from '../../../src/pipeline/augment/draw-augmentation.ts';
import { fillTrainingSlab } from '../../../src/pipeline/batch/fill-training-slab.ts';
import type { TrainingItems, TrainingSlabOptions } from '../../../src/pipeline/batch/fill-training-slab.ts';
import { Semaphore } from '../../../src/pipeline/batch/semaphore.ts';
import { makeJpeg, makePng } from '../../support/images.ts';
import { largestDifference, mirror } from '../decode/augmented-images.ts';

const INPUT = { width: 40, height: 40 };
const SLOT = 40 * 40 * 3;
const AUGMENTATION: Augmentation = {
  crop: { kind: 'random-crop', resizeTo: 44 },
  horizontalFlip: 0.5,
  rotationDegrees: 0,
  pcaNoise: 0.1,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
};
const COMPONENTS = {
  eigenvalues: [9000, 800, 200],
  eigenvectors: [
    [2 / 3, 2 / 3, 1 / 3],
    [1 / 3, -2 / 3, 2 / 3],
    [2 / 3, -1 / 3, -2 / 3],
  ],
} as const;

/** Small PNGs, larger ones, and JPEGs: every way an image can take. */
const SIZES = [
  { width: 28, height: 28 },
  { width: 36, height: 30 },
  { width: 90, height: 70 },
];
const IMAGES = await Promise.all(
  SIZES.flatMap((size) => [
    makePng({ ...size, seed: 1 }),
    makePng({ ...size, seed: 2, kind: 'grey' }),
    makeJpeg({ ...size, seed: 3 }),
  ]),
);
const imageOf = (item: number): Uint8Array => IMAGES[item % IMAGES.length] ?? new Uint8Array();
const sizeOf = (item: number) => SIZES[Math.floor((item % IMAGES.length) / 3)] ?? { width: 0, height: 0 };

const ITEMS: TrainingItems = {
  readItem: async (item) => {
    await sleep(item % 3);
    return imageOf(item);
  },
  sizeOf,
  classOf: (item) => item % 7,
};

function optionsWith(
  changes: Partial<TrainingSlabOptions> = {},
  augmentation = AUGMENTATION,
): TrainingSlabOptions {
  return {
    augment: (item, stored) =>
      drawAugmentation(augmentation, INPUT, stored, { seed: 1, epoch: 2, item }, COMPONENTS),
    input: INPUT,
    meanPixel: [120, 110, 100],
    slots: new Semaphore(4),
    signal: new AbortController().signal,
    mirrorsLater: false,
    ...changes,
  };
}

async function fill(items: readonly number[], options = optionsWith(), source = ITEMS) {
  const slab = new Uint8Array(items.length * SLOT).fill(0xa5);
  const batch = await fillTrainingSlab(Uint32Array.from(items), source, slab, options);
  return { ...batch, slab, slot: (index: number) => slab.subarray(index * SLOT, (index + 1) * SLOT) };
}

const digestOf = (pixels: Uint8Array): string => Buffer.from(pixels).toString('latin1');

describe('fillTrainingSlab', () => {
  it('gives an item the same pixels and colours in whatever batch and slot', async () => {
    const items = Array.from({ length: 18 }, (_, item) => item);
    const forwards = await fill(items);
    const backwards = await fill(items.toReversed());
    for (const item of items) {
      const slot = items.length - 1 - item;
      expect(digestOf(backwards.slot(slot))).toBe(digestOf(forwards.slot(item)));
      expect(backwards.labels[slot]).toBe(item % 7);
      expect(backwards.greyShifts[slot]).toBe(forwards.greyShifts[item]);
      expect(backwards.matrices.slice(slot * 9, slot * 9 + 9)).toEqual(
        forwards.matrices.slice(item * 9, item * 9 + 9),
      );
      expect(backwards.shifts.slice(slot * 3, slot * 3 + 3)).toEqual(
        forwards.shifts.slice(item * 3, item * 3 + 3),
      );
    }
    const alone = await fill([4]);
    expect(digestOf(alone.slot(0))).toBe(digestOf(forwards.slot(4)));
    expect(new Set(items.map((item) => digestOf(forwards.slot(item)))).size).toBe(items.length);
  });

  it('hands on the colours that were drawn', async () => {
    const options = optionsWith();
    const { matrices, greyShifts, shifts, labels } = await fill([11, 3], options);
    expect(labels).toEqual(Int32Array.from([4, 3]));
    const { colour } = options.augment(3, sizeOf(3));
    expect(matrices.slice(9)).toEqual(Float32Array.from(colour.matrix));
    expect(greyShifts[1]).toBe(Math.fround(colour.greyShift));
    expect(shifts.slice(3)).toEqual(Float32Array.from(colour.shift));
  });

  it('leaves mirroring to the device where that does it, and says which images', async () => {
    const items = Array.from({ length: 18 }, (_, item) => item);
    const [here, later] = [await fill(items), await fill(items, optionsWith({ mirrorsLater: true }))];
    expect(here.mirrored).toBeNull();
    const { augment } = optionsWith();
    const expected = items.map((item) => augment(item, sizeOf(item)).mirrored);
    expect([...(later.mirrored ?? [])]).toEqual(expected.map(Number));
    expect(new Set(expected).size).toBe(2);
    for (const [item, mirrored] of expected.entries()) {
      const pixels = mirrored ? mirror(later.slot(item), INPUT) : later.slot(item);
      // libvips rounds a place between two pixels otherwise from the other side.
      const difference = largestDifference(pixels, here.slot(item));
      expect(difference, String(item)).toBeLessThanOrEqual(mirrored ? 1 : 0);
    }
    expect(later.matrices).toEqual(here.matrices);
  });

  it('leaves pixels alone for validation', async () => {
    const augment: TrainingSlabOptions['augment'] = (_, stored) => centreAugmentation(40, INPUT, stored);
    const { matrices, greyShifts, shifts } = await fill([1, 2], optionsWith({ augment }));
    expect([...matrices]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1]);
    expect([...greyShifts, ...shifts]).toEqual(Array<number>(8).fill(0));
  });

  it.each([
    ['rotation', { ...AUGMENTATION, rotationDegrees: 20 }],
    [
      'random parts',
      {
        ...AUGMENTATION,
        rotationDegrees: 5,
        crop: {
          kind: 'random-resized-crop' as const,
          area: [0.08, 1] as [number, number],
          aspectRatio: [0.75, 1.33] as [number, number],
        },
      },
    ],
  ])('writes every slot, with %s', async (_, augmentation) => {
    const items = Array.from({ length: 27 }, (_, item) => item);
    const { slot } = await fill(items, optionsWith({}, augmentation));
    for (const item of items) expect(slot(item).every((value) => value === 0xa5)).toBe(false);
  });

  it('leaves what is beyond the batch in the slab alone, and refuses one that is too small', async () => {
    const slab = new Uint8Array(3 * SLOT).fill(0xa5);
    await fillTrainingSlab(Uint32Array.of(0, 5), ITEMS, slab, optionsWith());
    expect(slab.subarray(2 * SLOT).every((value) => value === 0xa5)).toBe(true);
    await expect(
      fillTrainingSlab(Uint32Array.of(0, 1, 2, 3), ITEMS, slab, optionsWith()),
    ).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('has no more items in hand than there are slots', async () => {
    let [reading, most] = [0, 0];
    const readItem: TrainingItems['readItem'] = async (item) => {
      most = Math.max(most, (reading += 1));
      await sleep(2);
      reading -= 1;
      return imageOf(item);
    };
    const items = Array.from({ length: 20 }, (_, item) => item);
    await fill(items, optionsWith({ slots: new Semaphore(3) }), { ...ITEMS, readItem });
    expect(most).toBe(3);
  });
});

describe('faults of fillTrainingSlab', () => {
  const items = Array.from({ length: 30 }, (_, item) => item);

  it.each([
    ['a damaged image', async () => (await makeJpeg(SIZES[0])).slice(0, 300)],
    ['an image of another size', async () => makePng({ width: 29, height: 28 })],
    ['something else', async () => new TextEncoder().encode('<html></html>')],
  ])('says which item is %s', async (_, make) => {
    const bytes = await make();
    const readItem: TrainingItems['readItem'] = async (item) => (item === 9 ? bytes : imageOf(item));
    const filling = fill(items, optionsWith(), { ...ITEMS, readItem });
    await expect(filling).rejects.toMatchObject({
      code: 'DATASET_CHANGED',
      message: expect.stringMatching(/^item 9 of the dataset: expected /) as string,
    });
  });

  it('passes on why an item cannot be read, and reads no more', async () => {
    const read: number[] = [];
    const signals: AbortSignal[] = [];
    const readItem: TrainingItems['readItem'] = async (item, signal) => {
      read.push(item);
      signals.push(signal);
      if (item === 3) throw new ImagemillError('STORE_UNREACHABLE', 'expected an answer, got none');
      await sleep(20);
      return imageOf(item);
    };
    const filling = fill(items, optionsWith(), { ...ITEMS, readItem });
    await expect(filling).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect(read).toEqual([0, 1, 2, 3]);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    let read = 0;
    const readItem: TrainingItems['readItem'] = async (item) => {
      if ((read += 1) === 6) controller.abort(new ImagemillError('SHUTDOWN', 'the worker is stopping'));
      await sleep(1);
      return imageOf(item);
    };
    const filling = fill(items, optionsWith({ signal: controller.signal }), { ...ITEMS, readItem });
    await expect(filling).rejects.toMatchObject({ code: 'SHUTDOWN' });
    expect(read).toBeLessThan(12);
  });

  it('gives every slot back', async () => {
    const slots = new Semaphore(2);
    const readItem: TrainingItems['readItem'] = () => Promise.reject(new Error('no'));
    await expect(fill(items, optionsWith({ slots }), { ...ITEMS, readItem })).rejects.toThrow('no');
    await expect(fill(items, optionsWith({ slots }))).resolves.toBeDefined();
  });
});
