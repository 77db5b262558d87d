import { crc32 } from 'node:zlib';
import { expect } from 'vitest';
import type { PartFormat, ResultRow } from '../../src/contract/rows.ts';
import { encodeErrorRows, readErrors } from '../../src/pipeline/sink/error-rows.ts';
import { readPart } from '../../src/pipeline/sink/read-part.ts';
import { encodePart, resultRows } from '../pipeline/sink/part-support.ts';
import { collectPages, fuzz, utf8, type Parser } from './support.ts';

function partParser(format: PartFormat): Parser<ResultRow[]> {
  return {
    name: `part-${format}`,
    codes: ['CONTRACT_INVALID', 'CONTRACT_VERSION_UNKNOWN'],
    parse: (bytes) => collectPages(readPart(bytes, format)),
    check: (rows) => {
      for (const { uri, ids, labels, scores, width, height, embedding } of rows) {
        expect(uri).toBeTypeOf('string');
        expect([labels.length, scores.length]).toEqual([ids.length, ids.length]);
        for (const number of [...ids, width, height]) expect(number | 0).toBe(number);
        for (const score of scores) expect(Number.isFinite(Math.fround(score))).toBe(true);
        if (embedding !== undefined) expect(embedding).toBeInstanceOf(Float32Array);
      }
    },
  };
}

const rows = resultRows(4, (index) => ({
  uri: index === 1 ? 's3://b/"odd",\r\n.jpg' : `s3://b/${index}.jpg`,
}));
const withEmbeddings = rows.map((row) => ({ ...row, embedding: Float32Array.of(0.5, 0, -1e-20) }));
const seedsOf = (format: PartFormat): Record<string, Uint8Array> => ({
  plain: Uint8Array.from(encodePart(rows, format)),
  embeddings: Uint8Array.from(encodePart(withEmbeddings, format, true)),
});

fuzz(partParser('jsonl'), {
  seeds: seedsOf('jsonl'),
  words: [
    '"embedding":[{"toString":null}]',
    '"embedding":[[1]]',
    '"embedding":{"length":1e9}',
    '1e999',
    '[[[[',
    '\n',
    '"\\ud800"',
  ].map(utf8),
  runs: 1_500,
});
fuzz(partParser('csv'), {
  seeds: seedsOf('csv'),
  words: ['"', '""', '\r\n', ',', '"[{""toString"":null}]"', '1e999', '\ufeff'].map(utf8),
  runs: 1_500,
});

/** The checksum of a part brought in order: it is text in the footer, so only its digits change. */
function withPartChecksum(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString('latin1');
  const found = /(\d{1,9}) ([0-9a-f]{8})/.exec(text);
  if (found === null) return bytes;
  const copy = Uint8Array.from(bytes);
  const crc = crc32(copy.subarray(0, Number(found[1])));
  copy.set(utf8(crc.toString(16).padStart(8, '0')), found.index + (found[1] ?? '').length + 1);
  return copy;
}

fuzz(partParser('parquet'), {
  seeds: seedsOf('parquet'),
  words: [
    Uint8Array.of(0xf9, 0xff, 0xff, 0xff, 0x0f),
    new Uint8Array(12).fill(0xff),
    Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x0f),
  ],
  repair: withPartChecksum,
  runs: 2_500,
});

fuzz(
  {
    name: 'part-errors',
    codes: ['CONTRACT_INVALID'],
    parse: (bytes) => collectPages(readErrors(bytes)),
  },
  {
    seeds: {
      rows: encodeErrorRows([{ uri: 's3://b/a.jpg', code: 'IMAGE_EMPTY', message: 'expected an image' }]),
    },
    words: ['"code":{}', '"code":"toString"', '\n', '{}'].map(utf8),
    runs: 500,
  },
);
