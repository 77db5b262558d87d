import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readIndex, type IndexedTar } from '../../src/pipeline/dataset/read-index.ts';
import { createTarReader } from '../../src/pipeline/dataset/tar-reader.ts';
import { TarWriter } from '../../src/pipeline/prepare/tar-writer.ts';
import { openSource } from '../../src/pipeline/source/open-source.ts';
import type { SourceEntry } from '../../src/pipeline/source/source.ts';
import { parsePaxRecords, type PaxRecords } from '../../src/pipeline/source/tar-headers.ts';
import { sha256 } from '../../src/storage/digest.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { TestStores } from '../pipeline/source/support.ts';
import { END_OF_TAR, headerBlock, member } from '../pipeline/source/tar-fixture.ts';
import { collectPages, FUZZ_TIMEOUT_MS, fuzz, parameters, utf8, type Parser } from './support.ts';
import { createDocuments } from './valid-documents.ts';

const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const pax = (records: string): Uint8Array => member({ type: 'x' }, records);

const written = new TarWriter();
written.add('a/é.jpg', utf8('image'));
written.add('a/é.cls', utf8('cat'));
written.add('b.png', new Uint8Array(600));

const TARS = {
  ours: written.finish().bytes,
  pax: join(pax('19 path=longer.jpg\n10 size=3\n'), member({}, 'abc'), END_OF_TAR),
  gnu: join(member({ type: 'L', magic: 'ustar  \0' }, 'long.jpg\0'), member({}, 'abc'), END_OF_TAR),
  links: join(
    member({ type: '2', name: 'l.jpg' }),
    member({ type: '5', name: 'd/' }),
    member({}, 'abc'),
    END_OF_TAR,
  ),
};

/** Lists a tar as `classify` would. */
const TAR: Parser<SourceEntry[]> = {
  name: 'tar',
  codes: ['TAR_INVALID', 'URI_INVALID'],
  parse: async (bytes) => {
    const stores = new TestStores();
    stores.put('memory://t/x.tar', bytes);
    return collectPages((await openSource({ uri: 'memory://t/x.tar' }, stores)).list());
  },
  check: (entries, bytes) => {
    for (const { item } of entries) {
      const { within } = item;
      expect(item.uri.startsWith('memory://t/x.tar#')).toBe(true);
      expect(within?.uri).toBe('memory://t/x.tar');
      expect(
        within !== undefined && within.offset >= 512 && within.offset + within.bytes <= bytes.length,
      ).toBe(true);
    }
  },
};

/** Every block with the checksum that a header of its bytes would have; bodies are damaged alike. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let at = 0; at + 512 <= copy.length; at += 512) {
    const block = copy.subarray(at, at + 512);
    if (block.every((byte) => byte === 0)) continue;
    block.fill(0x20, 148, 156);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
  }
  return copy;
}

fuzz(TAR, {
  seeds: TARS,
  words: [
    ...['x', 'L', 'K', 'g', 'S', 'M', '2'].map((type) => headerBlock({ type })),
    headerBlock({ size: Uint8Array.of(0x80, 0, 0, 0, 0x7f, ...Array<number>(7).fill(0xff)) }),
    ...['99999999 path=a\n', '77777777777\0', 'GNU.sparse.map=1', '\0'].map(utf8),
  ],
  repair: withChecksums,
  runs: 3_000,
});

const PAX: Parser<PaxRecords> = {
  name: 'pax',
  codes: ['TAR_INVALID'],
  parse: (bytes) => parsePaxRecords(bytes, 't'),
  check: ({ bytes, path }) => {
    expect(bytes === undefined || Number.isSafeInteger(bytes)).toBe(true);
    expect(['string', 'undefined']).toContain(typeof path);
  },
};
fuzz(PAX, {
  seeds: { two: utf8('19 path=longer.jpg\n10 size=3\n'), comment: utf8('21 comment=no matter\n') },
  words: ['9999999999 a=b\n', '3 \n', '0 a=\n', 'size=-1', 'GNU.sparse.major=1'].map(utf8),
});

describe('TarWriter', () => {
  it('writes what the reader reads back', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const name = fc
      .string({
        unit: fc.oneof(fc.constantFrom('/', '.', '..', '\\', 'a', 'é', '\u{1f98a}', '"'), fc.string()),
        maxLength: 300,
      })
      .filter((text) => !/[\0\p{Surrogate}]|\/$/u.test(text))
      .map((text) => `${text}x.jpg`);
    const body = fc.uint8Array({ maxLength: 1_100 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, body), { maxLength: 6 }), async (members) => {
        const writer = new TarWriter();
        const offsets = members.map(([path, bytes]) => writer.add(path, bytes));
        const { bytes } = writer.finish();
        const listed = (await TAR.parse(bytes)).map(({ item }) => [
          item.uri.slice('memory://t/x.tar#'.length),
          item.within?.offset,
        ]);
        const visible = members.map(([path], index) => [path, offsets[index]] as const);
        // Hidden files are no items.
        expect(listed).toEqual(
          visible
            .filter(([path]) => !path.slice(path.lastIndexOf('/') + 1).startsWith('.'))
            .map((entry) => [...entry]),
        );
      }),
      parameters(300),
    );
  });
});

const tarBytes = TARS.ours;
const indexValue = {
  ...createDocuments()['imagemill.dataset-index/1'],
  digest: sha256(tarBytes),
  bytes: tarBytes.length,
  lengths: [5, 20],
};

fuzz(
  {
    name: 'dataset-index',
    codes: ['DATASET_CHANGED', 'CONTRACT_INVALID', 'CONTRACT_VERSION_UNKNOWN'],
    parse: async (bytes) => {
      const store = new MemoryStore(new MemoryBucket('d'));
      await store.put('i.json', bytes);
      await store.put('train/000000.tar', tarBytes);
      const tar: IndexedTar = {
        tar: 'train/000000.tar',
        index: 'i.json',
        indexDigest: sha256(bytes),
        items: 2,
        bytes: tarBytes.length,
        digest: sha256(tarBytes),
      };
      const index = await readIndex(store, tar);
      const read = createTarReader(store, [tar]);
      for (const [item, offset] of index.offsets.entries()) {
        const length = index.lengths[item] ?? 0;
        expect((await read(0, offset, length)).length).toBe(length);
      }
      return index;
    },
    check: ({ keys, classes, labels }) => {
      expect(keys).toHaveLength(2);
      for (const label of classes) expect(labels[label]).toBeTypeOf('string');
    },
  },
  {
    seeds: { index: utf8(JSON.stringify(indexValue)) },
    words: ['[]', '-1', '2048', '"keys":[', 'null'].map(utf8),
    runs: 500,
  },
);
