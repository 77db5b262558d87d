import * as fc from 'fast-check';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listFiles } from '../../src/storage/file-listing.ts';
import { SmallestNames } from '../../src/storage/folder-window.ts';

describe('a folder with more names than a window holds', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'imagemill-listing-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('lists every name once and in order, whatever the window', async () => {
    const keys = Array.from({ length: 60 }, (_, index) =>
      index % 5 === 0 ? `n${index}/inner${index}` : `n${(index * 37) % 60}é.jpg`,
    );
    for (const key of keys) {
      await mkdir(dirname(join(root, key)), { recursive: true });
      await writeFile(join(root, key), '');
    }
    const sorted = [...new Set(keys)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const windowNames of [1, 2, 7, 59, 60, 1000]) {
      const listed: string[] = [];
      for await (const page of listFiles(root, '', { windowNames })) {
        listed.push(...page.map(({ key }) => key));
      }
      expect(listed).toEqual(sorted);
    }
  });
});

it('keeps the smallest names whatever their order and number', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 0, max: 70_000 }),
      fc.integer(),
      (size, count, seed) => {
        const smallest = new SmallestNames(size);
        const names = Array.from({ length: count }, (_, index) =>
          (Math.imul(index + seed, 2654435761) >>> 0).toString(36),
        );
        for (const name of names) smallest.add(name);
        expect(smallest.finish()).toEqual(names.toSorted().slice(0, size));
        expect(smallest.truncated).toBe(count > size);
      },
    ),
    { numRuns: 20 },
  );
});
