import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PART_FORMATS, type ResultRow } from '../../../src/contract/rows.ts';
import { createPartEncoder, partExtension } from '../../../src/pipeline/sink/create-part-encoder.ts';
import type { PartEncoder } from '../../../src/pipeline/sink/part-encoder.ts';
import {
  anyRow,
  asFloat32,
  decodePart,
  embeddingOf,
  encodePart,
  ODD_URIS,
  resultRow,
  resultRows,
} from './part-support.ts';

describe.each(PART_FORMATS)('createPartEncoder, %s', (format) => {
  it('gives back any rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyRow(0), { maxLength: 20 }), async (rows) => {
        const back = await decodePart(encodePart(rows, format), format);
        expect(asFloat32(back)).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });

  it('gives back any rows with their embeddings', async () => {
    const partRows = fc
      .integer({ min: 1, max: 9 })
      .chain((length) => fc.array(anyRow(length), { maxLength: 12 }));
    await fc.assert(
      fc.asyncProperty(partRows, async (rows) => {
        const back = await decodePart(encodePart(rows, format, true), format);
        expect(asFloat32(back)).toEqual(rows);
      }),
      { numRuns: 60 },
    );
  });

  it('gives back rows across row groups and pages', async () => {
    const rows = resultRows(2300, (index) => ({
      uri: `${ODD_URIS[index % ODD_URIS.length]}#${index}`,
      ...(index % 5 === 0 ? { ids: [], labels: [], scores: [] } : {}),
    }));
    expect(asFloat32(await decodePart(encodePart(rows, format), format))).toEqual(rows);
  });

  it('gives back embeddings of 4,096 values across row groups', async () => {
    const rows = resultRows(150, (index) => ({ embedding: embeddingOf(index, 4096) }));
    const back = await decodePart(encodePart(rows, format, true), format);
    expect(back.map((row) => row.uri)).toEqual(rows.map((row) => row.uri));
    expect(
      back.every((row, index) => Buffer.from(bytesOf(row)).equals(Buffer.from(bytesOf(rows[index])))),
    ).toBe(true);
  });

  it('writes a part without rows that reads as none', async () => {
    expect(await decodePart(encodePart([], format), format)).toEqual([]);
    expect(await decodePart(encodePart([], format, true), format)).toEqual([]);
  });

  it('writes the same bytes however the rows are split', () => {
    const rows = resultRows(1200, (index) => ({ embedding: embeddingOf(index, 300) }));
    const plain = encodePart(rows, format, false, [1200]);
    const withEmbeddings = encodePart(rows, format, true, [1200]);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 }),
        (batchSizes) => {
          expect(encodePart(rows, format, false, batchSizes).equals(plain)).toBe(true);
          expect(encodePart(rows, format, true, batchSizes).equals(withEmbeddings)).toBe(true);
        },
      ),
      { numRuns: 5 },
    );
    expect(withEmbeddings.length).toBeGreaterThan(plain.length);
  });

  it('keeps no reference to the arrays of a row', async () => {
    const embedding = new Float32Array([1, 2, 3]);
    const row = resultRow(1, { embedding });
    const expected = structuredClone(row);
    const encoder = createPartEncoder({ format, embeddings: true });
    const first = encoder.rows([row]);
    embedding.fill(9);
    row.ids.fill(0);
    row.labels.fill('overwritten');
    row.scores.fill(0);
    const back = await decodePart(Buffer.concat([first, encoder.end()]), format);
    expect(asFloat32(back)).toEqual([expected]);
  });

  it('takes embeddings as plain arrays and leaves out those nobody asked for', async () => {
    const row = resultRow(1, { embedding: [0.5, 0.25] });
    const [withIt] = await decodePart(encodePart([row], format, true), format);
    const [without] = await decodePart(encodePart([row], format, false), format);
    expect(withIt?.embedding).toEqual(new Float32Array([0.5, 0.25]));
    expect(without).not.toHaveProperty('embedding');
  });

  it('gives scores as the shortest decimals of their float32', async () => {
    const row = resultRow(1, { scores: [Math.fround(0.91), 0.1 + 0.2, Math.fround(1e-20)] });
    const [back] = await decodePart(encodePart([row], format), format);
    expect(back?.scores).toEqual([0.91, 0.3, 1e-20]);
  });

  it('replaces unpaired surrogates, which UTF-8 cannot hold', async () => {
    const row = resultRow(1, { uri: 's3://b/\ud800x\udc00', labels: ['\udfff', 'b', 'c'] });
    const [back] = await decodePart(encodePart([row], format), format);
    expect(back?.uri).toBe('s3://b/\ufffdx\ufffd');
    expect(back?.labels).toEqual(['\ufffd', 'b', 'c']);
  });

  it.each<[string, Partial<ResultRow>, RegExp]>([
    ['lists of different lengths', { scores: [1] }, /3 ids, 3 labels and 1 scores/],
    ['a score that is not a number', { scores: [Number.NaN, 0, 0] }, /scores to be finite/],
    ['an id beyond 32 bits', { ids: [2 ** 31, 1, 2] }, /ids to be a 32-bit integer, got 2147483648/],
    ['a width that is no integer', { width: 1.5 }, /width to be a 32-bit integer, got 1.5/],
    ['no embedding', {}, /embedding of one or more float32 numbers, got undefined/],
    ['an empty embedding', { embedding: [] }, /got an empty one/],
    ['an infinite embedding', { embedding: [1, Infinity] }, /embedding to be finite/],
    ['an embedding beyond float32', { embedding: [1, 1e39] }, /embedding to be finite/],
  ])('refuses %s and adds none of that call’s rows', async (_, changes, message) => {
    const good = resultRow(0, { embedding: [1, 2] });
    const encoder = createPartEncoder({ format, embeddings: true });
    const first = encoder.rows([good]);
    expect(() => encoder.rows([good, resultRow(1, changes)])).toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID',
        message: expect.stringMatching(message) as string,
      }),
    );
    expect(() => encoder.rows([good, resultRow(1, changes)])).toThrow(/result row 2:/);
    const part = Buffer.concat([first, encoder.rows([good]), encoder.end()]);
    expect(await decodePart(part, format)).toHaveLength(2);
  });

  it('refuses to go on after its end', () => {
    const encoder = createPartEncoder({ format, embeddings: false });
    encoder.end();
    expect(() => encoder.rows([])).toThrow(/no call after end\(\)/);
    expect(() => encoder.end()).toThrow(/no call after end\(\)/);
  });

  it('hands bytes out as it goes and holds on to no rows', async () => {
    const batch = resultRows(64);
    const encode = (encoder: PartEncoder, calls: number): number => {
      let bytes = 0;
      for (let call = 0; call < calls; call++) bytes += encoder.rows(batch).length;
      return bytes;
    };
    // Compiled code stays in memory too, so the same work is done once before it is measured.
    const rehearsal = createPartEncoder({ format, embeddings: false });
    encode(rehearsal, 660);
    rehearsal.end();
    const encoder = createPartEncoder({ format, embeddings: false });
    encode(encoder, 60);
    const before = await heapUsed();
    const handedOut = encode(encoder, 600);
    const grown = (await heapUsed()) - before;
    const last = encoder.end().length;
    // The uris of 38,400 rows alone would take 3 MB; the footer's entries for 38 row groups take half a megabyte.
    expect(grown).toBeLessThan(1_500_000);
    expect(last).toBeLessThan(handedOut / 5);
  });

  it('names the part after its format', () => {
    expect(partExtension(format)).toBe(`.${format}`);
  });
});

describe('createPartEncoder, exact bytes', () => {
  const row: ResultRow = {
    uri: 's3://bucket/a "b",\n.jpg',
    digest: 'sha256:0a',
    width: 500,
    height: 375,
    ids: [281, 7],
    labels: ['tabby', 'say "cock"'],
    scores: [Math.fround(0.91), Math.fround(0.0625)],
    model: 'sha256:0b',
    embedding: new Float32Array([0, 0.1, -2]),
  };

  it('writes JSONL in the documented shape', () => {
    expect(encodePart([row], 'jsonl').toString()).toBe(
      '{"uri":"s3://bucket/a \\"b\\",\\n.jpg","digest":"sha256:0a","width":500,"height":375,"ids":[281,7],' +
        '"labels":["tabby","say \\"cock\\""],"scores":[0.91,0.0625],"model":"sha256:0b"}\n',
    );
    expect(encodePart([row], 'jsonl', true).toString()).toMatch(
      /"model":"sha256:0b","embedding":\[0,0.1,-2\]}\n$/,
    );
  });

  it('writes CSV as RFC 4180 says, lists as quoted JSON', () => {
    expect(encodePart([row], 'csv', true).toString()).toBe(
      'uri,digest,width,height,ids,labels,scores,model,embedding\r\n' +
        '"s3://bucket/a ""b"",\n.jpg",sha256:0a,500,375,"[281,7]","[""tabby"",""say \\""cock\\""""]","[0.91,0.0625]",' +
        'sha256:0b,"[0,0.1,-2]"\r\n',
    );
    expect(encodePart([], 'csv').toString()).toBe('uri,digest,width,height,ids,labels,scores,model\r\n');
  });

  it('refuses a Parquet part whose embeddings differ in length', () => {
    const encoder = createPartEncoder({ format: 'parquet', embeddings: true });
    encoder.rows([resultRow(0, { embedding: [1, 2] })]);
    expect(() => encoder.rows([resultRow(1, { embedding: [1, 2, 3] })])).toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID',
        message: 'parquet part: expected embeddings of 2 values like the first, got one of 3',
      }),
    );
  });

  it('keeps row groups with embeddings near a mebibyte', () => {
    const batch = resultRows(64, (index) => ({
      embedding: Float32Array.from({ length: 4096 }, () => Math.cos(index)),
    }));
    const encoder = createPartEncoder({ format: 'parquet', embeddings: true });
    const sizes = Array.from({ length: 8 }, () => encoder.rows(batch).length);
    expect(sizes.every((size) => size > 0 && size < 1_500_000)).toBe(true);
  });
});

function bytesOf(row: ResultRow | undefined): ArrayBuffer {
  return Float32Array.from(row?.embedding ?? []).buffer;
}

/** Bytes of the heap and of buffers once the garbage is gone; buffers are freed only after the collection. */
async function heapUsed(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await setTimeout(5);
  }
  const { heapUsed: heap, arrayBuffers } = process.memoryUsage();
  return heap + arrayBuffers;
}
