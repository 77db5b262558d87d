import * as fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, describe, expect, it } from 'vitest';
import { parseLabels as parseLabelsFile } from '../../src/producer/parse-labels.ts';
import { parseLabels } from '../../src/pipeline/model/model-metadata.ts';
import { expandBraces, hasBraces } from '../../src/pipeline/source/brace-expansion.ts';
import { readLines, type Line } from '../../src/pipeline/source/byte-lines.ts';
import { openSource } from '../../src/pipeline/source/open-source.ts';
import type { SourceEntry } from '../../src/pipeline/source/source.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { collect, expectResumable, TestStores } from '../pipeline/source/support.ts';
import { collectPages, FUZZ_TIMEOUT_MS, fuzz, parameters, utf8, type Parser } from './support.ts';

const resolver = createStoreResolver({ s3: { region: 'us-east-1' } as never });
afterAll(() => resolver.close());

/** Lists a manifest as `classify` would: URIs go through the resolver that commands use. */
function manifestParser(extension: 'csv' | 'jsonl' | 'parquet'): Parser<SourceEntry[]> {
  const uri = `memory://m/lists/l.${extension}`;
  return {
    name: extension,
    codes: ['MANIFEST_INVALID'],
    parse: async (bytes) => {
      const { store, key } = resolver.resolve(uri);
      await store.put(key, bytes);
      return collect(await openSource({ uri }, resolver));
    },
    check: (entries) => {
      for (const { item, cursor } of entries) {
        expect(item.uri).toMatch(/^(?:memory|file|s3):\/\//i);
        expect(item.uri).not.toContain('\0');
        expect(item.uri).not.toMatch(/\p{Surrogate}/u);
        expect(item.label === undefined || (item.label.length > 0 && item.label.length <= 1_024)).toBe(true);
        expect(cursor.length).toBeGreaterThan(0);
      }
    },
  };
}

const ODD_FIELDS = [
  '"',
  '""',
  '\r\n',
  '\n',
  ',',
  '\ufeff',
  'file:///%zz',
  'file:///a%00b',
  's3://',
  's3://b/',
  'ftp://x/y',
  '../../../../x',
  '/etc/passwd',
  '\u2028',
  'x'.repeat(9_000),
];
const invalidUtf8 = [Uint8Array.of(0xff, 0xfe), Uint8Array.of(0xc3), Uint8Array.of(0xed, 0xa0, 0x80)];

fuzz(manifestParser('csv'), {
  seeds: {
    plain: utf8('uri,label\na.jpg,cat\nmemory://o/b.jpg,"dog, large"\n'),
    odd: utf8('\ufeffn,uri\r\n1,"a ""b"".jpg"\r\n\r\n2,/data/é.jpg\r\n'),
  },
  words: [...ODD_FIELDS.map(utf8), ...invalidUtf8],
  runs: 2_000,
});
fuzz(manifestParser('jsonl'), {
  seeds: {
    plain: utf8('{"uri":"a.jpg","label":"cat"}\n"memory://o/b.jpg"\n\n{"label":7,"uri":"c.jpg"}\n'),
  },
  words: [
    ...ODD_FIELDS.map((field) => utf8(JSON.stringify(field))),
    ...['"\\ud800"', '{"uri":', '"label":1e999', '"label":[]', '[[[[[['].map(utf8),
    ...invalidUtf8,
  ],
  runs: 2_000,
});

const strings = (name: string, data: (string | null)[]) => ({ name, data, type: 'STRING' as const });
const parquet = (uris: string[], labels: (string | null)[], codec?: 'SNAPPY' | 'UNCOMPRESSED'): Uint8Array =>
  new Uint8Array(
    parquetWriteBuffer({
      columnData: [strings('uri', uris), strings('label', labels)],
      rowGroupSize: 3,
      ...(codec === undefined ? {} : { codec }),
    }),
  );
const URIS = ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.jpg'];

fuzz(manifestParser('parquet'), {
  seeds: {
    snappy: parquet(URIS, ['x', 'x', 'y', null, 'x'], 'SNAPPY'),
    uncompressed: parquet(URIS, ['x', null, 'y', 'y', 'x'], 'UNCOMPRESSED'),
  },
  words: [
    Uint8Array.of(0xf9, 0xff, 0xff, 0xff, 0x0f),
    new Uint8Array(12).fill(0xff),
    Uint8Array.of(0xfe, 0xff, 0xff, 0xff, 0x0f),
  ],
  runs: 2_500,
});

describe('a text manifest', () => {
  const uri = fc.constantFrom('a.jpg', 'é/b.jpg', 'memory://o/c.jpg', 'd e.jpg');
  const lineEnd = fc.constantFrom('\n', '\r\n');

  it(
    'goes on after any row of a CSV with exactly the rows after it',
    { timeout: FUZZ_TIMEOUT_MS },
    async () => {
      const label = fc.constantFrom('', 'cat', '"a, b"', '"two\nlines"', '"""q"""');
      const row = fc.tuple(uri, label, lineEnd, fc.constantFrom('', '\n', '\r\n'));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('', '\ufeff'),
          fc.array(row, { maxLength: 8 }),
          async (mark, rows) => {
            const lines = rows.map(([image, text, end, blank]) => `${image},${text}${end}${blank}`);
            const listed = await expectResumable(await open('csv', `${mark}uri,label\n${lines.join('')}`), 8);
            expect(listed.map(({ item }) => item.uri.split('/').at(-1))).toEqual(
              rows.map(([image]) => image.split('/').at(-1)),
            );
          },
        ),
        parameters(100),
      );
    },
  );

  it(
    'goes on after any line of JSON with exactly the lines after it',
    { timeout: FUZZ_TIMEOUT_MS },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(uri, lineEnd), { maxLength: 8 }), async (rows) => {
          const lines = rows.map(([image, end]) => `${JSON.stringify({ uri: image })}${end}`);
          expect(await expectResumable(await open('jsonl', lines.join('')), 8)).toHaveLength(rows.length);
        }),
        parameters(100),
      );
    },
  );
});

async function open(extension: string, text: string) {
  const stores = new TestStores();
  stores.put(`memory://m/l.${extension}`, text);
  return openSource({ uri: `memory://m/l.${extension}` }, stores);
}

describe('readLines', () => {
  it('cuts lines alike, however the bytes arrive', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const piece = fc.constantFrom('a', 'bc', '\n', '\r', '\r\n', 'é').map(utf8);
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.array(fc.nat(9), { minLength: 1 }),
        async (pieces, cuts) => {
          const bytes = Buffer.concat(pieces);
          const linesOf = (chunks: Uint8Array[]): Promise<Line[]> =>
            collectPages(
              readLines(asChunks(chunks), { offset: 7, line: 3 }, 1_000, () => new Error('too long')),
            );
          const chunks: Uint8Array[] = [];
          for (let at = 0, cut = 0; at < bytes.length; cut++) {
            const length = cuts[cut % cuts.length] ?? 0;
            chunks.push(bytes.subarray(at, at + length));
            at += cut > bytes.length ? length + 1 : length;
            if (cut > bytes.length) chunks.push(bytes.subarray(at - 1, at));
          }
          const lines = await linesOf(chunks);
          expect(lines.map(asText)).toEqual((await linesOf([bytes])).map(asText));
          const expected = bytes.toString().split('\n');
          if (expected.at(-1) === '') expected.pop();
          expect(lines.map((line) => asText(line)[0])).toEqual(
            expected.map((line, index) =>
              index < expected.length - 1 || bytes.at(-1) === 0x0a ? line.replace(/\r$/, '') : line,
            ),
          );
          expect(lines.at(-1)?.end ?? 7).toBe(7 + bytes.length);
        },
      ),
      parameters(500),
    );
  });
});

const asText = ({ bytes, number, end }: Line) => [Buffer.from(bytes).toString(), number, end];

async function* asChunks(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

fuzz(
  {
    name: 'braces',
    codes: ['URI_INVALID'],
    parse: (bytes) => {
      const name = new TextDecoder().decode(bytes);
      const names: string[] = [];
      // Names are made as they are asked for: a thousand of a million show enough.
      for (const each of expandBraces(name)) if (names.push(each) === 1_000) break;
      return { name, names };
    },
    check: ({ name, names }) => {
      expect(names.length).toBeGreaterThan(0);
      if (!hasBraces(name)) expect(names).toEqual([name]);
    },
  },
  {
    seeds: {
      range: utf8('train-{000..012}.tar'),
      list: utf8('{a,b}/{0..9}-{x,y,z}.tar'),
      none: utf8('plain.tar'),
    },
    words: [
      '{0..999999}'.repeat(3),
      '{1..1000000}'.repeat(40),
      '{,,,,,,,}',
      '{',
      '}',
      '..',
      '{9..1}',
      '{a,b}'.repeat(30),
    ].map(utf8),
    runs: 2_000,
  },
);

const LABELS_FILE: Parser<string[]> = {
  name: 'labels-file',
  codes: ['MODEL_LABELS_MISMATCH'],
  parse: (bytes) => parseLabelsFile(bytes, 'labels.txt'),
  check: (labels) => {
    for (const label of labels) expect(label).toBeTypeOf('string');
  },
};
fuzz(LABELS_FILE, {
  seeds: { lines: utf8('\ufeffcat\r\ndog\n'), json: utf8(' ["cat", "dog"]\n') },
  words: ['[', '[[[[[[[', ']', '"', '[1]', '\n', '\ufeff'].map(utf8),
});

fuzz(
  {
    name: 'labels',
    codes: [],
    parse: (bytes) => parseLabels(new TextDecoder().decode(bytes)),
    check: (labels) => {
      for (const label of labels) expect(label).toBeTypeOf('string');
    },
  },
  {
    seeds: {
      json: utf8('["cat","dog"]'),
      dict: utf8(`{0: 'cat', 1: "dog's"}`),
      list: utf8(String.raw`['cat', 'dog\'s']`),
      commas: utf8('cat, dog'),
    },
    words: [
      "\\'".repeat(20_000),
      '1'.repeat(40_000),
      "'".repeat(999),
      '0:'.repeat(999),
      '{"length":',
      '{"__proto__":"a"}',
    ].map(utf8),
    refusesNothing: true,
  },
);
