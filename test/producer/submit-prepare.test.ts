import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { isPrepareRun } from '../../src/contract/run.ts';
import { submitPrepare, type PrepareRequest } from '../../src/producer/submit-prepare.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { NO_S3 } from '../support/object-stores.ts';

const resolver = createStoreResolver({ s3: NO_S3 });
const index = new RunIndex(resolver, 'memory://home/');
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-submit-'));
  for (const name of ['cat', 'dog']) {
    mkdirSync(join(folder, 'pets', name), { recursive: true });
    writeFileSync(join(folder, 'pets', name, '1.jpg'), 'x');
  }
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function submit(request: Partial<PrepareRequest> = {}) {
  return submitPrepare(
    {
      source: { uri: join(folder, 'pets'), include: [], exclude: [] },
      out: join(folder, 'dataset'),
      shardSize: 100,
      shortSide: 256,
      encoding: 'jpeg',
      valFraction: 0.1,
      seed: 0,
      fresh: false,
      ...request,
    },
    resolver,
    index,
  );
}

async function refusal(request: Partial<PrepareRequest>): Promise<string> {
  try {
    await submit(request);
    return 'accepted';
  } catch (error) {
    return error instanceof ImagemillError ? `${error.code}: ${error.message}` : String(error);
  }
}

describe('submitPrepare', () => {
  it('writes run.json with the whole spec, and the run can be found by its id', async () => {
    const { run, ledger, created } = await submit();
    expect(created).toBe(true);
    expect(isPrepareRun(run)).toBe(true);
    expect(run.spec).toEqual({
      kind: 'prepare',
      source: { uri: `file://${folder}/pets`, include: [], exclude: [] },
      shardSize: 100,
      shortSide: 256,
      encoding: 'jpeg',
      valFraction: 0.1,
      seed: 0,
    });
    expect(await ledger.readRun()).toEqual(run);
    expect((await index.open(run.run)).out).toBe(`file://${folder}/dataset/`);
    expect((await index.list()).find((entry) => entry.run === run.run)).toMatchObject({ kind: 'prepare' });
  });

  it('takes the same request at the same output for the same run', async () => {
    const first = await submit();
    const second = await submit();
    expect([second.run.run, second.created]).toEqual([first.run.run, false]);
  });

  it('refuses another request there, and says what differs', async () => {
    const { run } = await submit();
    expect(await refusal({ seed: 1, shortSide: 128 })).toMatch(
      new RegExp(`^OUTPUT_HOLDS_ANOTHER_RUN: .*${run.run} \\(different: shortSide, seed\\)`),
    );
  });

  it('starts another run in a folder of its own with --new', async () => {
    const first = await submit();
    const second = await submit({ fresh: true });
    expect(second.created).toBe(true);
    expect(second.ledger.out).toBe(`file://${folder}/dataset/${second.run.run}/`);
    expect(second.run.specDigest).toBe(first.run.specDigest);
  });

  it.each<[string, (folder: string) => Partial<PrepareRequest>, string]>([
    [
      'an empty source',
      () => ({ source: { uri: 'memory://nothing/', include: [], exclude: [] } }),
      'SOURCE_EMPTY',
    ],
    [
      'a source that is not there',
      (at) => ({ source: { uri: join(at, 'none'), include: [], exclude: [] } }),
      'SOURCE_NOT_FOUND',
    ],
    [
      'filters that leave nothing',
      (at) => ({ source: { uri: join(at, 'pets'), include: ['*.tif'], exclude: [] } }),
      'SOURCE_EMPTY',
    ],
    ['an output inside the source', (at) => ({ out: join(at, 'pets', 'out') }), 'OUTPUT_INSIDE_SOURCE'],
    ['a fraction that leaves too little for training', () => ({ valFraction: 0.91 }), 'USAGE: valFraction'],
    ['a fraction below 0', () => ({ valFraction: -0.1 }), 'USAGE: valFraction'],
    ['no pixels', () => ({ shortSide: 0 }), 'USAGE: shortSide'],
  ])('refuses %s before it writes anything', async (_what, request, code) => {
    expect(await refusal(request(folder))).toMatch(new RegExp(`^${code}`));
    expect(await resolver.open(join(folder, 'dataset')).head('run.json')).toBeNull();
  });

  it('refuses an empty class folder by its name, and a bad line of a manifest by its number', async () => {
    mkdirSync(join(folder, 'pets', 'emu'));
    expect(await refusal({})).toMatch(/^DATASET_CLASSES: class "emu"/);
    writeFileSync(join(folder, 'list.csv'), 'uri,label\na.jpg,cat\n,dog\n');
    expect(await refusal({ source: { uri: join(folder, 'list.csv'), include: [], exclude: [] } })).toMatch(
      /^MANIFEST_INVALID: .*line 3/,
    );
  });

  it('refuses an output that cannot be written to', async () => {
    const blocked = join(folder, 'blocked');
    writeFileSync(blocked, 'a file where the folder should be');
    expect(await refusal({ out: join(blocked, 'dataset') })).toMatch(/^OUTPUT_NOT_WRITABLE: .*blocked/);
  });
});
