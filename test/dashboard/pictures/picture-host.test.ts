import { rmSync, writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/contract/errors.ts';
import type { PictureHost } from '../../../src/dashboard/pictures/picture-host.ts';
import { writeFiles } from '../../support/datasets.ts';
import { HTML_BYTES, makeEveryFormat, makeJpeg, makePng, truncate } from '../../support/images.ts';
import { errorOf } from '../../pipeline/source/support.ts';
import { packTar } from '../../pipeline/source/tar-fixture.ts';
import { PictureWorkspace, shape } from './support.ts';

let workspace: PictureWorkspace;
let host: PictureHost;
beforeAll(() => {
  workspace = new PictureWorkspace();
  host = workspace.host();
});
afterAll(() => workspace.remove());

const at = (...names: string[]) => workspace.at(...names);

describe('thumbnails', { timeout: 60_000 }, () => {
  it('fit every format into a square, upright', async () => {
    const formats = await makeEveryFormat({ width: 300, height: 200 });
    const files = Object.entries(formats).map(
      ([format, bytes], index) => [`${index}-${format.replace(/\W+/g, '-')}.jpg`, bytes] as const,
    );
    writeFiles(at('formats'), Object.fromEntries(files));
    writeFiles(at('formats'), {
      'z-turned.jpg': await makeJpeg({ width: 300, height: 200, orientation: 6 }),
    });
    const out = await workspace.plan(`file://${at('formats')}/`);
    for (const [index, [name]] of files.entries()) {
      const { bytes, contentType } = await host.thumbnail(out, 0, index);
      expect([name, contentType, ...(await shape(bytes))]).toEqual([name, 'image/webp', 'webp', 160, 107]);
    }
    const turned = await host.thumbnail(out, 0, files.length, 90);
    expect(await shape(turned.bytes)).toEqual(['webp', 60, 90]);
  });

  it('show the image: colours survive, small ones keep their size, no side vanishes', async () => {
    const red = await sharp({ create: { width: 900, height: 30, channels: 3, background: '#c81428' } })
      .png()
      .toBuffer();
    writeFiles(at('shapes'), {
      'a-red.png': red,
      'b-small.png': await makePng({ width: 20, height: 10 }),
      'c-line.png': await makePng({ width: 3_000, height: 2 }),
    });
    const out = await workspace.plan(`file://${at('shapes')}/`);
    const [wide, small, line] = await Promise.all([0, 1, 2].map((index) => host.thumbnail(out, 0, index)));
    expect(await shape(wide?.bytes ?? new Uint8Array())).toEqual(['webp', 160, 5]);
    const { channels } = await sharp(wide?.bytes).stats();
    [200, 20, 40].forEach((value, channel) =>
      expect(Math.abs((channels[channel]?.mean ?? 0) - value)).toBeLessThan(8),
    );
    expect(await shape(small?.bytes ?? new Uint8Array())).toEqual(['webp', 20, 10]);
    expect(await shape(line?.bytes ?? new Uint8Array())).toEqual(['webp', 160, 1]);
  });

  it('read from tars and through manifests what the run reads', async () => {
    const [first, second] = [
      await makePng({ width: 30, height: 20 }),
      await makePng({ width: 31, height: 21 }),
    ];
    const tar = packTar({ 'a.png': first, 'b.png': second }, 'ustar');
    writeFiles(at('tars'), { '000000.tar': tar });
    writeFiles(at('listed'), { 'x.png': second });
    writeFiles(at(), { 'manifest.csv': `uri\nfile://${at('listed')}/x.png\n` });
    const tars = await workspace.plan(`file://${at('tars')}/000000.tar`, { shardSize: 1 });
    const manifest = await workspace.plan(`file://${at()}/manifest.csv`);
    expect(await shape((await host.thumbnail(tars, 0, 0)).bytes)).toEqual(['webp', 30, 20]);
    expect(await shape((await host.thumbnail(tars, 1, 0)).bytes)).toEqual(['webp', 31, 21]);
    expect(await shape((await host.thumbnail(manifest, 0, 0)).bytes)).toEqual(['webp', 31, 21]);
  });

  it('reject with the code of what is wrong with the image', async () => {
    writeFiles(at('broken'), {
      'a.jpg': truncate(await makeJpeg(), 0.5),
      'b.jpg': new Uint8Array(0),
      'c.jpg': HTML_BYTES,
      'd.jpg': await makeJpeg(),
    });
    const out = await workspace.plan(`file://${at('broken')}/`);
    rmSync(at('broken', 'd.jpg'));
    const errors = await Promise.all([0, 1, 2, 3, 4].map((index) => errorOf(host.thumbnail(out, 0, index))));
    expect(errors.map(({ code }) => code)).toEqual([
      'IMAGE_TRUNCATED',
      'IMAGE_EMPTY',
      'IMAGE_FORMAT_UNKNOWN',
      'ITEM_NOT_FOUND',
      'ITEM_NOT_FOUND',
    ]);
    expect(errors.every((error) => error instanceof ImageError)).toBe(true);
    expect(errors[4]?.message).toContain('expected an item from 0 to 3 of shard 0, got 4');
    expect((await errorOf(host.thumbnail(out, 7, 0))).code).toBe('OBJECT_NOT_FOUND');
    expect((await errorOf(host.thumbnail(at('broken'), 0, 0))).code).toBe('RUN_NOT_FOUND');
  });

  it('never read files of this machine for a run whose source is elsewhere', async () => {
    writeFiles(at('private'), { 'a.png': await makePng() });
    const item = { uri: `file://${at('private')}/a.png` };
    const out = await workspace.shardOf([item], 's3://bucket/photos/');
    expect((await errorOf(host.thumbnail(out, 0, 0))).code).toBe('ITEM_URI_INVALID');
  });

  it.each([
    [0, 0, 0],
    [0, 0, 1_025],
    [0, 0, 12.5],
    [-1, 0, 160],
    [0, Number.NaN, 160],
  ])('refuse arguments out of range: shard %d, item %d, side %d', async (shard, index, sidePx) => {
    expect((await errorOf(host.thumbnail('memory://none/', shard, index, sidePx))).code).toBe('USAGE');
  });
});

describe('asking for pictures', { timeout: 60_000 }, () => {
  it('is answered from memory the second time, by side', async () => {
    writeFiles(at('cached'), { 'a.png': await makePng({ width: 300, height: 300 }) });
    const out = await workspace.plan(`file://${at('cached')}/`);
    const first = await host.thumbnail(out, 0, 0);
    rmSync(at('cached', 'a.png'));
    expect(await host.thumbnail(out, 0, 0)).toBe(first);
    expect((await errorOf(host.thumbnail(out, 0, 0, 80))).code).toBe('ITEM_NOT_FOUND');
  });

  it('is one request where many ask for the same at once', async () => {
    writeFiles(at('shared'), { 'a.png': await makePng() });
    const out = await workspace.plan(`file://${at('shared')}/`);
    const pictures = await Promise.all(Array.from({ length: 500 }, () => host.thumbnail(out, 0, 0)));
    expect(new Set(pictures).size).toBe(1);
  });

  it('is refused where too many wait, and taken back where the asker leaves', async () => {
    const names = Array.from(
      { length: 12 },
      (_, index) => [`${String(index).padStart(2, '0')}.png`, index] as const,
    );
    for (const [name, seed] of names) writeFiles(at('many'), { [name]: await makePng({ seed }) });
    const out = await workspace.plan(`file://${at('many')}/`);
    const small = workspace.host({ queued: 4 });
    const leaving = new AbortController();
    const asked = [0, 1, 2].map((index) => small.thumbnail(out, 0, index));
    const left = small.thumbnail(out, 0, 3, 160, leaving.signal);
    const busy = await errorOf(small.thumbnail(out, 0, 4));
    expect([busy.code, busy.retryable]).toEqual(['PICTURES_BUSY', true]);
    // Of two who wait for one picture, one may leave.
    const stays = small.thumbnail(out, 0, 0, 160, leaving.signal).catch((error: unknown) => error);
    leaving.abort(new Error('browser gone'));
    await expect(left).rejects.toThrow('browser gone');
    expect(await stays).toEqual(new Error('browser gone'));
    // Its place is free.
    const next = small.thumbnail(out, 0, 5);
    const pictures = await Promise.all([...asked, next]);
    expect(pictures.map(({ contentType }) => contentType)).toEqual(Array(4).fill('image/webp'));
    await expect(small.thumbnail(out, 0, 6, 160, leaving.signal)).rejects.toThrow('browser gone');
    // Who left took nothing away from who asks later.
    expect((await small.thumbnail(out, 0, 3)).bytes.length).toBeGreaterThan(0);
  });

  it('ends with the host', async () => {
    writeFileSync(at('one.png'), await makePng());
    const out = await workspace.shardOf([{ uri: `file://${at('one.png')}` }]);
    const closing = workspace.host();
    const asked = errorOf(closing.thumbnail(out, 0, 0));
    await closing.close();
    expect((await asked).code).toBe('SHUTDOWN');
    expect((await errorOf(closing.thumbnail(out, 0, 0))).code).toBe('SHUTDOWN');
  });
});
