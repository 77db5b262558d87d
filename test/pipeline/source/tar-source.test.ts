import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import type { Source } from '../../../src/pipeline/source/source.ts';
import { collect, errorOf, expectResumable, TestStores, urisOf } from './support.ts';
import { END_OF_TAR, headerBlock, member, packTar } from './tar-fixture.ts';

const TAR = 'memory://m/t/a.tar';

function openTar(bytes: Uint8Array): Promise<Source> {
  const stores = new TestStores();
  stores.put(TAR, bytes);
  return openSource({ uri: TAR }, stores);
}

const join = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

async function expectTarInvalid(bytes: Uint8Array, message: string): Promise<void> {
  const error = await errorOf(openTar(bytes).then((source) => collect(source)));
  expect(error.code).toBe('TAR_INVALID');
  expect(error.message).toContain(message);
  expect(error.message).toMatch(/^memory:\/\/m\/t\/a\.tar at byte \d+: /);
}

describe('a tar', () => {
  const files = {
    '000001.jpg': 'first image',
    '000001.cls': '7\n',
    '000002.cls': 'tabby cat',
    '000002.png': 'x'.repeat(1_000),
    'deep/folder/é日本.jpg': 'unicode',
    [`${'long/'.repeat(22)}${'n'.repeat(90)}.jpg`]: 'a long name',
    'empty.jpg': '',
    'notes.txt': 'no image',
    'big.webp': new Uint8Array(300_000).fill(9),
  };

  it.each(['ustar', 'gnu', 'oldgnu', 'pax'] as const)(
    'of tar --format=%s: images with their bytes and labels',
    async (format) => {
      const bytes = packTar(files, format);
      const entries = await expectResumable(await openTar(bytes));
      const names = Object.keys(files).filter((name) => /\.(jpg|png|webp)$/.test(name));
      expect(entries.map(({ item }) => item.uri)).toEqual(names.map((name) => `${TAR}#${name}`));
      expect(entries.map(({ item }) => item.label)).toEqual(['7', 'tabby cat', ...Array(4).fill(undefined)]);
      for (const [index, { item }] of entries.entries()) {
        const body = Buffer.from(files[names[index] ?? ''] ?? 'missing');
        expect(item.bytes).toBe(body.length);
        expect(item.within).toMatchObject({ uri: TAR, bytes: body.length });
        const offset = item.within?.offset ?? -1;
        expect(Buffer.from(bytes.subarray(offset, offset + body.length)).equals(body)).toBe(true);
      }
    },
  );

  it('passes over folders, links, global pax records and hidden files', async () => {
    const bytes = packTar({ 'd/.a.jpg': 'x', 'd/b.jpg': 'y', 'c.jpg': 'z' }, 'pax', [
      '--pax-option=comment=a comment for all',
      '--transform=s,^c.jpg,./c.jpg,',
    ]);
    const link = headerBlock({ name: 'l.jpg', type: '2', size: '00000001000\0' });
    const folder = headerBlock({ name: 'f.jpg/', type: '5' });
    const oldFolder = headerBlock({ name: 'g.jpg/', type: '0' });
    const source = await openTar(join(link, folder, oldFolder, bytes));
    expect(await urisOf(source)).toEqual([`${TAR}#d/b.jpg`, `${TAR}#./c.jpg`]);
  });

  it('keeps names with .. or a leading slash as mere names', async () => {
    const bytes = join(
      member({ name: '../../etc/x.jpg' }, 'a'),
      member({ name: '/abs/y.jpg' }, 'b'),
      END_OF_TAR,
    );
    expect(await urisOf(await openTar(bytes))).toEqual([`${TAR}#../../etc/x.jpg`, `${TAR}#/abs/y.jpg`]);
  });

  it('reads sizes of 8 GiB and more without fetching the body', async () => {
    const size = Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0);
    await expectTarInvalid(join(headerBlock({ size }), END_OF_TAR), `expected a member of ${2 ** 33} bytes`);
  });

  it('gives the label to every image of its group, whichever side of it it is on', async () => {
    const bytes = join(
      member({ name: 'a/k.left.jpg' }, '1'),
      member({ name: 'a/k.cls' }, ' 5 \n'),
      member({ name: 'a/k.right.png' }, '2'),
      member({ name: 'b/k.jpg' }, '3'),
      member({ name: 'b/k.0001.cls' }, '6'),
      member({ name: 'c.cls' }, ''),
      member({ name: 'c.jpg' }, '4'),
      END_OF_TAR,
    );
    const entries = await expectResumable(await openTar(bytes));
    expect(entries.map(({ item }) => item.label)).toEqual(['5', '5', undefined, undefined]);
  });

  it('filters by the path of the member', async () => {
    const stores = new TestStores();
    stores.put(TAR, join(member({ name: './train/a.jpg' }), member({ name: 'val/b.jpg' }), END_OF_TAR));
    const source = await openSource({ uri: TAR, include: ['train/*'] }, stores);
    expect(await urisOf(source)).toEqual([`${TAR}#./train/a.jpg`]);
  });

  it('lists a tar without images as nothing', async () => {
    expect(await collect(await openTar(END_OF_TAR))).toEqual([]);
    expect(await collect(await openTar(join(member({ name: 'a.txt' }, 'x'), END_OF_TAR)))).toEqual([]);
  });

  it('continues from a cursor after any image, in groups of any form', async () => {
    const name = fc.constantFrom('a.jpg', 'a.cls', 'a.x.png', 'b.jpg', 'd/a.jpg', 'b.cls', 'c.txt', 'e.jpeg');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, fc.nat(1_500)), { maxLength: 25 }), async (members) => {
        const bytes = join(
          ...members.map(([each, size]) => member({ name: each }, 'x'.repeat(Math.min(size, 900)))),
          END_OF_TAR,
        );
        const entries = await expectResumable(await openTar(bytes), 50);
        expect(entries).toHaveLength(members.filter(([each]) => /\.(jpg|png|jpeg)$/.test(each)).length);
      }),
      { numRuns: 60 },
    );
  });

  it('bounds a group of very many members with one key, and still resumes in it', async () => {
    const members = Array.from({ length: 2_500 }, (_, index) => member({ name: `k.${index}.jpg` }));
    const entries = await expectResumable(await openTar(join(...members, END_OF_TAR)), 5);
    expect(entries).toHaveLength(2_500);
  });
});

describe('a damaged tar', () => {
  const good = join(member({ name: 'a.jpg' }, 'x'.repeat(600)), member({ name: 'b.jpg' }, 'y'), END_OF_TAR);

  it('is TAR_INVALID wherever it is cut', async () => {
    await expectTarInvalid(
      good.subarray(0, 0),
      'at byte 0: expected 512 more bytes, got the end of the object at 0',
    );
    await expectTarInvalid(good.subarray(0, 300), 'at byte 0');
    await expectTarInvalid(good.subarray(0, 512), 'at byte 0: expected a member of 600 bytes');
    await expectTarInvalid(good.subarray(0, 1_300), 'at byte 1536');
    await expectTarInvalid(good.subarray(0, 1_536), 'at byte 1536');
    await expectTarInvalid(good.subarray(0, 2_560), 'at byte 2560');
  });

  it.each([
    [
      'a changed header',
      join(member({ name: 'a.jpg' }, 'x'), new Uint8Array(512).fill(65), END_OF_TAR),
      'at byte 1024',
    ],
    ['a sparse file', join(headerBlock({ type: 'S' }), END_OF_TAR), 'sparse'],
    ['a piece of several volumes', join(headerBlock({ type: 'M' }), END_OF_TAR), 'multi-volume'],
    [
      'a label that is too large',
      join(member({ name: 'a.cls' }, 'x'.repeat(4_097)), END_OF_TAR),
      'at most 4096 bytes',
    ],
    [
      'a label that is too long',
      join(member({ name: 'a.cls' }, 'x'.repeat(1_025)), END_OF_TAR),
      'at most 1024 characters',
    ],
    [
      'a long name without a member',
      join(member({ type: 'L' }, 'name'), END_OF_TAR),
      'expected a member after',
    ],
    [
      'a huge extended header',
      join(headerBlock({ type: 'x', size: '00010000000\0' }), END_OF_TAR),
      'extended header of at most',
    ],
    ['broken pax records', join(member({ type: 'x' }, 'nonsense'), END_OF_TAR), 'expected pax records'],
    ['a compressed file', new Uint8Array(2_048).fill(0x1f), 'at byte 0'],
  ])('%s', async (_name, bytes, message) => {
    await expectTarInvalid(bytes, message);
  });

  it('never fails otherwise, whatever byte is changed', async () => {
    const bytes = packTar({ 'a.jpg': 'x', [`${'n'.repeat(120)}.jpg`]: 'y', 'é.cls': 'z' }, 'pax');
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (index, flip) => {
        const damaged = Uint8Array.from(bytes);
        damaged[index] = (damaged[index] ?? 0) ^ flip;
        const code = await openTar(damaged)
          .then((source) => collect(source))
          .then(
            () => 'listed',
            (error: unknown) => (error as { code?: string }).code ?? String(error),
          );
        expect(['listed', 'TAR_INVALID']).toContain(code);
      }),
      { numRuns: 200 },
    );
  });
});

describe('several tars', () => {
  function threeTars(): TestStores {
    const stores = new TestStores();
    for (const index of [0, 1, 2]) {
      const members = [0, 1, 2].map((n) => member({ name: `${index}${n}.jpg` }, `${index}${n}`));
      stores.put(`memory://m/t/00${index}.tar`, join(...members, END_OF_TAR));
    }
    return stores;
  }
  const expected = [0, 1, 2].flatMap((tar) =>
    [0, 1, 2].map((n) => `memory://m/t/00${tar}.tar#${tar}${n}.jpg`),
  );

  it.each(['memory://m/t/', 'memory://m/t', 'memory://m/t/{000..002}.tar', 'memory://m/t/00{0,1,2}.tar'])(
    'are listed in order for %s, and resumed in any of them',
    async (uri) => {
      const entries = await expectResumable(await openSource({ uri }, threeTars()));
      expect(entries.map(({ item }) => item.uri)).toEqual(expected);
    },
  );

  it('keep a limit that ends in the second of them', async () => {
    const entries = await expectResumable(await openSource({ uri: 'memory://m/t/', limit: 4 }, threeTars()));
    expect(entries.map(({ item }) => item.uri)).toEqual(expected.slice(0, 4));
  });

  it('pass over other objects beside them', async () => {
    const stores = threeTars();
    for (const name of ['000.idx', '.hidden.tar', 'dataset.json', 'preview.png'])
      stores.put(`memory://m/t/${name}`);
    expect(await urisOf(await openSource({ uri: 'memory://m/t/' }, stores))).toEqual(expected);
  });

  it('say SOURCE_NOT_FOUND with the address of the one that is missing', async () => {
    const first = await errorOf(openSource({ uri: 'memory://m/t/{003..004}.tar' }, threeTars()));
    expect(first.code).toBe('SOURCE_NOT_FOUND');
    expect(first.message).toContain('memory://m/t/003.tar');
    const later = await openSource({ uri: 'memory://m/t/{002..003}.tar' }, threeTars());
    const error = await errorOf(collect(later));
    expect(error.code).toBe('SOURCE_NOT_FOUND');
    expect(error.message).toContain('memory://m/t/003.tar');
  });

  it('may have braces in their real names', async () => {
    const stores = new TestStores();
    stores.put('memory://m/x{1..2}.tar', join(member({ name: 'a.jpg' }), END_OF_TAR));
    expect(await urisOf(await openSource({ uri: 'memory://m/x{1..2}.tar' }, stores))).toEqual([
      'memory://m/x{1..2}.tar#a.jpg',
    ]);
  });
});

it('the tar command that made the fixtures is GNU tar, whose formats are the ones in the wild', () => {
  expect(execFileSync('tar', ['--version'], { encoding: 'utf8' })).toContain('GNU tar');
});
