import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import type { SourceSpec } from '../../src/contract/run.ts';
import { refuseUntrainableSource } from '../../src/producer/check-classes.ts';
import { canonicalUri } from '../../src/producer/check-source.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { NO_S3 } from '../support/object-stores.ts';

const resolver = createStoreResolver({ s3: NO_S3 });
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill {classes} '));
});
afterEach(() => rmSync(folder, { recursive: true }));

function fill(...files: readonly string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    if (!file.endsWith('/')) writeFileSync(join(folder, file), 'x');
    else mkdirSync(join(folder, file), { recursive: true });
  }
}

/** The refusal, or `accepted`. */
async function outcome(spec: Partial<SourceSpec> = {}): Promise<string> {
  const uri = canonicalUri(resolver, spec.uri ?? folder);
  try {
    await refuseUntrainableSource({ include: [], exclude: [], ...spec, uri }, resolver);
    return 'accepted';
  } catch (error) {
    return error instanceof ImagemillError ? `${error.code}: ${error.message}` : String(error);
  }
}

describe('a local folder', () => {
  it('is accepted with images in two folders, however deep', async () => {
    fill('cat/a/b/1.jpg', 'cat/readme.txt', 'dog/1.PNG', 'notes.txt');
    expect(await outcome()).toBe('accepted');
  });

  it.each([
    ['empty', 'emu/'],
    ['without images', 'emu/readme.txt'],
    ['of empty folders', 'emu/a/b/'],
    ['of hidden files', 'emu/.1.jpg'],
  ])('is refused with a class folder %s', async (_what, file) => {
    fill('cat/1.jpg', 'dog/1.jpg', file);
    expect(await outcome()).toBe(
      `DATASET_CLASSES: class "emu": expected images in ${join(folder, 'emu')}, found none; remove the folder, or --exclude "emu/**"`,
    );
  });

  it('is accepted where the empty folder is excluded, hidden, or patterns and a limit choose', async () => {
    fill('cat/1.jpg', 'dog/1.jpg', 'emu/', '.git/');
    expect(await outcome({ exclude: ['emu/**'] })).toBe('accepted');
    expect(await outcome({ exclude: ['emu/'] })).toBe('accepted');
    expect(await outcome({ exclude: ['*.gif'] })).toContain('"emu"');
    expect(await outcome({ include: ['cat/**'] })).toBe('accepted');
    expect(await outcome({ limit: 3 })).toBe('accepted');
    rmSync(join(folder, 'emu'), { recursive: true });
    expect(await outcome()).toBe('accepted');
  });

  it('is refused with one class folder, or with none', async () => {
    fill('1.jpg');
    expect(await outcome()).toMatch(
      /^DATASET_CLASSES: file:.*: expected a folder for each of two classes or more, got none$/,
    );
    fill('cat/1.jpg');
    expect(await outcome()).toMatch(/got one, "cat"$/);
  });

  it('follows links as its listing does, and is not caught in a circle of them', async () => {
    fill('cat/1.jpg', 'elsewhere/1.jpg', 'dog/');
    symlinkSync(join(folder, 'dog'), join(folder, 'dog', 'again'));
    expect(await outcome()).toContain('class "dog"');
    symlinkSync(join(folder, 'elsewhere'), join(folder, 'dog', 'photos'));
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
    expect(await outcome()).toBe('accepted');
  });

  it('may be one image: what is wrong with it shows later', async () => {
    fill('cat/1.jpg');
    expect(await outcome({ uri: join(folder, 'cat/1.jpg') })).toBe('accepted');
  });
});

describe('a manifest', () => {
  const rows = async (...lines: readonly string[]) => {
    writeFileSync(join(folder, 'list.csv'), lines.join('\n'));
    return outcome({ uri: join(folder, 'list.csv') });
  };

  it('is accepted with two labels', async () => {
    expect(await rows('uri,label', 'a.jpg,cat', 'b.jpg,', 'c.jpg,dog')).toBe('accepted');
  });

  it('is refused with one label, or without', async () => {
    expect(await rows('uri,label', 'a.jpg,cat', 'b.jpg,', 'c.jpg, cat')).toMatch(
      /^DATASET_CLASSES: .*list\.csv: expected labels of two classes or more, got one, "cat"$/,
    );
    expect(await rows('uri', 'cat/a.jpg', 'dog/b.jpg')).toMatch(/got none$/);
  });
});
