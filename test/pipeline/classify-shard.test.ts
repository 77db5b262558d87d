import { describe, expect, it } from 'vitest';
import { ImageError, ImagemillError } from '../../src/contract/errors.ts';
import type { LabelStatistics } from '../../src/contract/label-statistics.ts';
import { shardDocument, type Part } from '../../src/contract/ledger.ts';
import type { ResultRow } from '../../src/contract/rows.ts';
import { Semaphore } from '../../src/pipeline/batch/semaphore.ts';
import { SlabPool } from '../../src/pipeline/batch/slab-pool.ts';
import type { ClassifyResources } from '../../src/pipeline/classify-resources.ts';
import { classifyShard } from '../../src/pipeline/classify-shard.ts';
import { LabelTally } from '../../src/pipeline/label-tally.ts';
import { readErrors } from '../../src/pipeline/sink/error-rows.ts';
import { readPart } from '../../src/pipeline/sink/read-part.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { fakeRun } from '../support/fake-run.ts';
import { wrapStore } from '../../src/storage/wrap-store.ts';

const SLOT_BYTES = 2 * 2 * 3;
const run = fakeRun({ batchSize: 4, topK: 2 });

/** Items are numbered; the "image" of item n is the byte n, its pixels are all n, and its best class is n mod 3. */
function resources(overrides: Partial<ClassifyResources> = {}): ClassifyResources & { batches: number[] } {
  const batches: number[] = [];
  return {
    batches,
    graph: { batchSize: 4, height: 2, width: 2, cropsPerItem: 1, topK: 2, embeddingSize: null },
    reader: { read: async ({ uri }) => Uint8Array.of(Number(uri.split('/').at(-1))) },
    decoder: {
      decode: async (bytes, _preprocessing, target) => {
        expect(target.length).toBe(SLOT_BYTES);
        target.fill(bytes[0] ?? 0);
        return { width: 10, height: 20 };
      },
    },
    device: {
      classify: async (slab, count) => {
        batches.push(count);
        const pixels = new Uint8Array(slab);
        const firsts = Array.from({ length: count }, (_, slot) => pixels[slot * SLOT_BYTES] ?? 0);
        const ids = Int32Array.from(firsts.flatMap((first) => [first % 3, (first + 1) % 3]));
        const scores = Float32Array.from(firsts.flatMap(() => [0.75, 0.25]));
        return { classification: { ids, scores, embeddings: null }, slab, computeMs: 1_000 };
      },
    },
    slabs: new SlabPool(4 * SLOT_BYTES, 4),
    fetches: new Semaphore(3),
    preprocessing: run.model.preprocessing,
    ...overrides,
  };
}

const shardOf = (count: number) => ({
  schema: shardDocument.id,
  run: run.run,
  shard: 7,
  items: Array.from({ length: count }, (_, index) => ({ uri: `memory://s/${index}` })),
  next: 'end',
});

function statisticsOf(rows: readonly ResultRow[]): LabelStatistics {
  const tally = new LabelTally();
  for (const [index, row] of rows.entries()) tally.add(index, row);
  return tally.statistics();
}

interface Outcome {
  readonly part: Part;
  readonly rows: ResultRow[];
  readonly store: MemoryStore;
}

async function classify(
  count: number,
  given: ClassifyResources,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const store = new MemoryStore(new MemoryBucket('out'));
  const part = await classifyShard(
    { run, shard: shardOf(count), token: 'token00001', out: store, signal, onProgress: () => {} },
    given,
  );
  const rows: ResultRow[] = [];
  for await (const page of readPart(await store.get(part.part.key), 'jsonl')) rows.push(...page);
  return { part, rows, store };
}

describe('classifyShard', () => {
  it('labels every item once, in order, in full batches but the last', async () => {
    const given = resources();
    const { part, rows } = await classify(10, given);
    expect(given.batches).toEqual([4, 4, 2]);
    expect(rows.map(({ uri }) => uri)).toEqual(shardOf(10).items.map(({ uri }) => uri));
    expect(rows[5]).toEqual({
      uri: 'memory://s/5',
      digest: sha256(Uint8Array.of(5)),
      width: 10,
      height: 20,
      ids: [2, 0],
      labels: ['bird', 'cat'],
      scores: [0.75, 0.25],
      model: 'sha256:11',
    });
    expect(part).toMatchObject({ items: 10, labelled: 10, errors: null, errorsByCode: {}, bytesRead: 10 });
    // What the device says it took, not how long its answers were in coming.
    expect(part.stages.compute).toBe(3);
  });

  it('says what it wrote: key, bytes and digest of the part', async () => {
    const { part, store } = await classify(3, resources());
    const bytes = await store.get('parts/000007.token00001.jsonl');
    expect(part.part).toEqual({
      key: 'parts/000007.token00001.jsonl',
      bytes: bytes.length,
      digest: sha256(bytes),
      rows: 3,
    });
  });

  it('makes a row in errors of a bad item, zeroes its slot, and labels the others', async () => {
    const seen: number[][] = [];
    const base = resources();
    const given = resources({
      reader: {
        read: async (item) => {
          if (item.uri.endsWith('/2')) throw new ImageError('ITEM_NOT_FOUND', 'gone');
          return base.reader.read(item);
        },
      },
      decoder: {
        decode: async (bytes, preprocessing, target) => {
          if (bytes[0] === 5) {
            target.fill(99);
            throw new ImageError('IMAGE_CORRUPT', 'bad');
          }
          return base.decoder.decode(bytes, preprocessing, target);
        },
      },
      device: {
        classify: (slab, count) => {
          seen.push(
            Array.from({ length: count }, (_, slot) => new Uint8Array(slab)[slot * SLOT_BYTES + 1] ?? -1),
          );
          return base.device.classify(slab, count);
        },
      },
    });
    const { part, rows, store } = await classify(8, given);
    expect(seen).toEqual([
      [0, 1, 0, 3],
      [4, 0, 6, 7],
    ]);
    expect(rows.map(({ uri }) => uri.at(-1))).toEqual(['0', '1', '3', '4', '6', '7']);
    // Of equal scores in the order of the shard; each at its item's place there.
    expect(part.labels?.leastConfident.map(({ index, uri, label }) => [index, uri, label])).toEqual(
      [0, 1, 3, 4, 6, 7].map((index) => [index, `memory://s/${index}`, run.model.labels[index % 3]]),
    );
    expect(part.labels?.classes).toEqual({ 0: 3, 1: 3 });
    expect(part).toMatchObject({
      items: 8,
      labelled: 6,
      errorsByCode: { ITEM_NOT_FOUND: 1, IMAGE_CORRUPT: 1 },
    });
    const errors = [];
    for await (const page of readErrors(await store.get('errors/000007.token00001.jsonl')))
      errors.push(...page);
    expect(errors).toEqual([
      { uri: 'memory://s/2', code: 'ITEM_NOT_FOUND', message: 'gone' },
      { uri: 'memory://s/5', code: 'IMAGE_CORRUPT', message: 'bad' },
    ]);
  });

  it('needs no device for a batch of nothing but errors', async () => {
    const given = resources({
      decoder: { decode: () => Promise.reject(new ImageError('IMAGE_EMPTY', 'empty')) },
    });
    const { part, rows } = await classify(9, given);
    expect(given.batches).toEqual([]);
    expect(rows).toEqual([]);
    expect(part).toMatchObject({ items: 9, labelled: 0, errorsByCode: { IMAGE_EMPTY: 9 } });
  });

  it.each(['reader', 'device'] as const)(
    'fails as a whole when the %s fails, and gives every slab back',
    async (culprit) => {
      const slabs = new SlabPool(4 * SLOT_BYTES, 4);
      const fault = new ImagemillError('STORE_UNAVAILABLE', 'slow down');
      const base = resources();
      let calls = 0;
      const given = resources({
        slabs,
        ...(culprit === 'reader'
          ? {
              reader: {
                read: (item) => (item.uri.endsWith('/6') ? Promise.reject(fault) : base.reader.read(item)),
              },
            }
          : {
              device: {
                classify: (slab, count) =>
                  (calls += 1) === 2 ? Promise.reject(fault) : base.device.classify(slab, count),
              },
            }),
      });
      const store = new MemoryStore(new MemoryBucket('out'));
      const attempt = classifyShard(
        {
          run,
          shard: shardOf(40),
          token: 'token00001',
          out: store,
          signal: new AbortController().signal,
          onProgress: () => {},
        },
        given,
      );
      await expect(attempt).rejects.toBe(fault);
      expect(await store.head('parts/000007.token00001.jsonl')).toBeNull();
      // All four can be taken at once: none was lost.
      await Promise.all([slabs.acquire(), slabs.acquire(), slabs.acquire(), slabs.acquire()]);
    },
  );

  it('stops at an abort', async () => {
    const abort = new AbortController();
    const base = resources();
    const given = resources({
      device: {
        classify: (slab, count) => {
          abort.abort(new Error('stop'));
          return base.device.classify(slab, count);
        },
      },
    });
    await expect(classify(100, given, abort.signal)).rejects.toThrow('stop');
    expect(base.batches.length).toBeLessThan(5);
  });

  it('gives the same bytes in every attempt', async () => {
    const [a, b] = await Promise.all([classify(30, resources()), classify(30, resources())]);
    expect(a.part.part.digest).toBe(b.part.part.digest);
    expect(JSON.stringify(a.part.labels)).toBe(JSON.stringify(b.part.labels));
    expect(a.part.labels).toEqual(statisticsOf(a.rows));
  });

  it('fetches no further than a store that takes no rows: what waits is what the slabs hold', async () => {
    let read = 0;
    const given = resources({
      reader: {
        read: async ({ uri }) => {
          read += 1;
          return Uint8Array.of(Number(uri.split('/').at(-1)) % 256);
        },
      },
    });
    const store = new MemoryStore(new MemoryBucket('out'));
    const abort = new AbortController();
    const stuck = wrapStore(store, {
      putStream: async (_key, chunks, signal) => {
        // Takes one batch, and is then busy with it for ever.
        await chunks[Symbol.asyncIterator]().next();
        return new Promise((_, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason as Error)),
        );
      },
    });
    const running = classifyShard(
      {
        run,
        shard: shardOf(2_000),
        token: 'token00001',
        out: stuck,
        signal: abort.signal,
        onProgress: () => {},
      },
      given,
    );
    running.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const [batchSize, slabCount, batchesInTheSink] = [4, 4, 3];
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThanOrEqual(batchSize * (slabCount + batchesInTheSink));
    abort.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
