import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import type { Source } from '../../../src/pipeline/source/source.ts';
import { MemoryStore } from '../../../src/storage/memory-store.ts';
import { collect, errorOf, expectResumable, TestStores } from './support.ts';
import { wrapStore } from '../../../src/storage/wrap-store.ts';

/** A manifest in memory whose stream comes in chunks of `chunk` bytes. */
async function openText(
  name: string,
  body: string | Uint8Array,
  chunk = body.length > 10_000 ? 50_000 : 7,
): Promise<Source> {
  const stores = new TestStores();
  const uri = `memory://m/lists/${name}`;
  stores.put(uri, body);
  const store = new MemoryStore(stores.bucket('m'));
  stores.replaced.set(
    'm',
    wrapStore(store, {
      getStream: async (key, options) => {
        const bytes = await store.get(key, options);
        return (async function* () {
          for (let start = 0; start < bytes.length; start += chunk)
            yield bytes.subarray(start, start + chunk);
        })();
      },
    }),
  );
  return openSource({ uri }, stores);
}

const rows = async (name: string, body: string | Uint8Array) =>
  (await collect(await openText(name, body))).map(({ item }) => [item.uri, item.label]);
const fault = async (name: string, body: string | Uint8Array) => {
  const error = await errorOf(openText(name, body).then((source) => collect(source)));
  expect(error.code).toBe('MANIFEST_INVALID');
  return error.message;
};

describe('a CSV manifest', () => {
  it('reads BOM, CRLF, quotes, blank lines, other columns, and no newline at the end', async () => {
    const body =
      '\uFEFFid, uri ,label\r\n1,"a,""1"".jpg",cat\r\n\r\n2,b/é.jpg,\r\n3,"two\nlines.jpg","x y"\n4,memory://other/c.jpg,dog';
    expect(await rows('l.csv', body)).toEqual([
      ['memory://m/lists/a,"1".jpg', 'cat'],
      ['memory://m/lists/b/é.jpg', undefined],
      ['memory://m/lists/two\nlines.jpg', 'x y'],
      ['memory://other/c.jpg', 'dog'],
    ]);
  });

  it.each([
    ['no header', '', 'line 1: expected a header with a column "uri"'],
    [
      'another header',
      'url,label\na.jpg,x\n',
      'line 1: expected a header with a column "uri", got: url, label',
    ],
    ['two columns of one name', 'uri,uri\na,b\n', 'line 1: expected one column "uri"'],
    ['a field too few', 'uri,label\na,b\n\nc\n', 'line 4: expected 2 fields as in the header, got 1'],
    ['a field too many', 'uri\na\nb,c\n', 'line 3: expected 1 fields as in the header, got 2'],
    ['an open quote', 'uri\na\n"b\n', 'a quote is never closed'],
    ['text after a quote', 'uri\na\n"b"c\n', 'line 3: expected a comma or the end of the line'],
    ['a quote inside', 'uri\na\nb"c\n', 'line 3: expected the whole field in quotes'],
    ['an empty uri', 'uri,label\na,b\n,x\n', 'line 3: expected a "uri", got an empty one'],
    ['a scheme', 'uri\na\n\nhttps://x/y.jpg\n', 'line 4: expected memory://'],
    ['a folder', 'uri\nmemory://m/a/\n', 'line 2: expected an image, got the folder'],
    ['a way out', 'uri\n../../x.jpg\n', 'line 2: expected a path below memory://m/'],
    [
      'a long uri',
      `uri\n${'x'.repeat(8_193)}\n`,
      'line 2: expected a "uri" of at most 8192 characters, got 8193',
    ],
    ['a long label', `uri,label\na,${'x'.repeat(1_025)}\n`, 'line 2: expected a "label" of at most 1024'],
    [
      'a long line',
      `uri,x\na,b\na,${'x'.repeat(1_100_000)}\n`,
      'line 3: expected a line of at most 1048576 bytes',
    ],
  ])('tells the line of %s', async (_name, body, message) => {
    const said = await fault('l.csv', body);
    expect(said).toContain(message);
    expect(said).toMatch(/^memory:\/\/m\/lists\/l\.csv line \d+: /);
  });

  it('tells the line of text that is not UTF-8', async () => {
    expect(await fault('l.csv', Buffer.from('uri\na\né.jpg\n', 'latin1'))).toContain(
      'line 3: expected UTF-8',
    );
  });

  it('counts the lines inside quoted fields', async () => {
    expect(await fault('l.csv', 'uri,x\na,"1\n2\n3"\nb\n')).toContain('line 5:');
  });

  it('continues from a cursor after any row', async () => {
    const field = fc.constantFrom(
      'a.jpg',
      'é/日本.jpg',
      'quoted, "x".jpg',
      'line\nbreak.jpg',
      'x'.repeat(50),
    );
    const end = fc.constantFrom('\n', '\r\n', '\n\n', '\r\n\r\n');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(field, fc.constantFrom('cat', ''), end), { maxLength: 12 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 40 }),
        async (lines, bom, chunk) => {
          const quote = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
          const body = lines.map(([uri, label, eol]) => `${label},${quote(uri)}${eol}`).join('');
          const source = await openText('l.csv', `${bom ? '\uFEFF' : ''}label,uri\r\n${body}`, chunk);
          const listed = await expectResumable(source);
          expect(listed.map(({ item }) => item.uri)).toEqual(lines.map(([uri]) => `memory://m/lists/${uri}`));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('still tells the right line after it was resumed', async () => {
    const source = await openText('l.csv', 'uri,x\n"a\nb",1\n\nc,2\nd\n');
    const pages = source.list()[Symbol.asyncIterator]();
    await expect(pages.next()).rejects.toThrow('line 6');
    const short = await openText('l.csv', 'uri,x\n"a\nb",1\n\nc,2\nd,3\n');
    const [first] = await collect(short);
    expect((await errorOf(collect(source, first?.cursor))).message).toContain('line 6');
  });
});

describe('a JSONL manifest', () => {
  it('reads strings and objects, blank lines, a BOM and CRLF', async () => {
    const body =
      '\uFEFF"a.jpg"\r\n\r\n{"uri":"b/é.jpg","label":7,"more":[1]}\n  \n{"label":null,"uri":"memory://o/c.png"}';
    const expected = [
      ['memory://m/lists/a.jpg', undefined],
      ['memory://m/lists/b/é.jpg', '7'],
      ['memory://o/c.png', undefined],
    ];
    expect(await rows('l.jsonl', body)).toEqual(expected);
    expect(await rows('L.NDJSON', body)).toEqual(expected);
  });

  it.each([
    ['broken JSON', '"a"\n{"uri":\n', 'line 2: expected JSON'],
    ['a list', '"a"\n\n["b"]\n', 'line 3: expected a string or an object with "uri", got ["b"]'],
    ['null', 'null', 'line 1: expected a string or an object with "uri", got null'],
    ['no uri', '{"url":"a"}', 'line 1: expected a "uri" that is a string, got none'],
    ['a number for a uri', '{"uri":1}', 'line 1: expected a "uri" that is a string, got a number'],
    [
      'an object for a label',
      '{"uri":"a","label":{}}',
      'line 1: expected a "label" that is a string or a number',
    ],
    ['a NUL character', '"a\\u0000"', 'line 1: expected a "uri" without NUL'],
    ['half of a surrogate pair', '"a\\ud800.jpg"', 'line 1: expected a "uri" of Unicode text'],
    ['a long line', `"a"\n"${'x'.repeat(1_100_000)}"\n`, 'line 2: expected a line of at most 1048576 bytes'],
  ])('tells the line of %s', async (_name, body, message) => {
    expect(await fault('l.jsonl', body)).toContain(message);
  });

  it('tells the line of text that is not UTF-8', async () => {
    expect(await fault('l.jsonl', Buffer.from('"a"\n"é"\n', 'latin1'))).toContain('line 2: expected UTF-8');
  });

  it('continues from a cursor after any line', async () => {
    const line = fc.constantFrom('"a.jpg"', '{"uri":"é.jpg","label":"x"}', '', '  ', '"日本/ b.jpg"');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 15 }),
        fc.integer({ min: 1, max: 30 }),
        async (lines, chunk) => {
          const source = await openText('l.jsonl', lines.map((parts) => parts.join('')).join(''), chunk);
          const listed = await expectResumable(source);
          expect(listed).toHaveLength(lines.filter(([text]) => text.trim() !== '').length);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('either text manifest', () => {
  it('never fails otherwise than with MANIFEST_INVALID, whatever the bytes are', async () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .array(fc.constantFrom('uri', ',', '"', '\n', '\r', '{', '}', ':', 'a', '\uFEFF', '/', '..', '[]'), {
          maxLength: 25,
        })
        .map((parts) => Buffer.from(parts.join(''))),
    );
    await fc.assert(
      fc.asyncProperty(junk, fc.constantFrom('l.csv', 'l.jsonl'), async (bytes, name) => {
        const code = await openText(name, bytes, 5)
          .then((source) => collect(source))
          .then(
            () => 'listed',
            (error: unknown) => (error as { code?: string }).code,
          );
        expect(['listed', 'MANIFEST_INVALID']).toContain(code);
      }),
      { numRuns: 300 },
    );
  });

  it('passes a failing store on as what it is', async () => {
    const { ImagemillError } = await import('../../../src/contract/errors.ts');
    for (const name of ['l.csv', 'l.jsonl']) {
      const stores = new TestStores();
      stores.put(`memory://m/${name}`, 'uri\na.jpg\n');
      const store = new MemoryStore(stores.bucket('m'));
      stores.replaced.set(
        'm',
        wrapStore(store, {
          getStream: async () =>
            (async function* () {
              yield Buffer.from(name === 'l.csv' ? 'uri\na.jpg\n' : '"a.jpg"\n');
              throw new ImagemillError('STORE_UNREACHABLE', 'gone');
            })(),
        }),
      );
      const source = await openSource({ uri: `memory://m/${name}` }, stores);
      expect((await errorOf(collect(source))).code).toBe('STORE_UNREACHABLE');
    }
  });

  it('ends the stream when the listing is given up', async () => {
    for (const [name, line] of [
      ['l.csv', 'uri\n'],
      ['l.jsonl', '"a"\n'],
    ] as const) {
      const stores = new TestStores();
      stores.put(`memory://m/${name}`, 'x');
      const store = new MemoryStore(stores.bucket('m'));
      let ended = false;
      stores.replaced.set(
        'm',
        wrapStore(store, {
          getStream: async () =>
            (async function* () {
              try {
                yield Buffer.from(line);
                for (;;) yield Buffer.from(line.repeat(500).replaceAll('uri', 'x'));
              } finally {
                ended = true;
              }
            })(),
        }),
      );
      for await (const _page of (await openSource({ uri: `memory://m/${name}` }, stores)).list()) break;
      await expect.poll(() => ended).toBe(true);
    }
  });
});
