import { beforeAll, describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/contract/errors.ts';
import { createDecoder } from '../../../src/pipeline/decode/create-decoder.ts';
import { DEFAULT_DECODE_LIMITS } from '../../../src/pipeline/decode/decoder.ts';
import { withOwnErrors } from '../../../src/pipeline/decode/own-errors.ts';
import { makeGif, makeJpeg, makePng, truncate } from '../../support/images.ts';
import { shortSide } from './decoding.ts';

/** Stands for libvips: one text of errors, which every call empties at its end. */
function createVips() {
  let text = '';
  return async (words: string | undefined, turns: number): Promise<string> => {
    for (let turn = 0; turn < turns; turn++) {
      if (turn === Math.floor(turns / 2) && words !== undefined) text += words;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const said = text;
    text = '';
    if (words === undefined) return 'fine';
    throw new Error(said);
  };
}

const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    (value) => value,
    (error: unknown) => (error as Error).message,
  );

describe('withOwnErrors', () => {
  it('gives every failure its own words, however many fail at once', async () => {
    const vips = createVips();
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        outcome(
          withOwnErrors(() => vips(index % 3 === 0 ? undefined : `<${index}>`, 1 + ((index * 7) % 11))),
        ),
      ),
    );
    outcomes.forEach((found, index) => {
      expect(found).toBe(index % 3 === 0 ? 'fine' : `<${index}>`);
    });
  });

  it('does not repeat what failed without company', async () => {
    let calls = 0;
    const failing = async (): Promise<never> => {
      calls += 1;
      await Promise.resolve();
      throw new Error('own');
    };
    expect(await outcome(withOwnErrors(failing))).toBe('own');
    expect(calls).toBe(1);
  });

  it('does not wait for a call that takes long, and then trusts no words', async () => {
    let release = (): void => {};
    const slow = withOwnErrors(() => new Promise<void>((resolve) => (release = resolve)));
    const failed = withOwnErrors(() => createVips()('premature end', 3));
    await expect(failed).rejects.toBeInstanceOf(ImageError);
    await expect(failed).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
    release();
    await slow;
  }, 15_000);
});

describe('damaged images that are decoded together', () => {
  let images: [expected: string, bytes: Uint8Array][];
  beforeAll(async () => {
    const size = { width: 100, height: 75 };
    const png = Buffer.from(await makePng(size));
    const at = png.indexOf('IDAT') + 2_000;
    png.writeUInt8(png.readUInt8(at) ^ 0xff, at);
    const jpeg = Buffer.from(await makeJpeg(size));
    const scan = jpeg.indexOf(Buffer.from([0xff, 0xda]));
    const end = Buffer.from([0xff, 0xd9]);
    images = [
      ['IMAGE_TRUNCATED', truncate(await makeGif(size), 0.7)],
      ['IMAGE_CORRUPT', png],
      ['IMAGE_TRUNCATED', Buffer.concat([truncate(jpeg, 0.6), end])],
      ['decoded', Buffer.concat([jpeg.subarray(0, scan), Buffer.alloc(7), jpeg.subarray(scan)])],
      ...Array.from({ length: 4 }, (): [string, Uint8Array] => ['decoded', jpeg]),
    ];
  });

  it('have the codes that they have alone', async () => {
    const decoder = createDecoder({ limits: DEFAULT_DECODE_LIMITS, concurrency: 4 });
    const many = Array.from({ length: 40 }, () => images).flat();
    const codes = await Promise.all(
      many.map(([, bytes]) =>
        decoder.decode(bytes, shortSide(64, 48), new Uint8Array(48 * 48 * 3)).then(
          () => 'decoded',
          (error: unknown) => (error instanceof ImageError ? error.code : String(error)),
        ),
      ),
    );
    expect(codes).toEqual(many.map(([expected]) => expected));
  });
});
