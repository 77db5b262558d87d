import * as fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../src/contract/errors.ts';
import { PART_FORMATS, type PartFormat } from '../../../src/contract/rows.ts';
import { readPart } from '../../../src/pipeline/sink/read-part.ts';
import { asFloat32, collect, decodePart, encodePart, resultRow, resultRows } from './part-support.ts';

const invalid = (message: RegExp): unknown =>
  expect.objectContaining({ code: 'CONTRACT_INVALID', message: expect.stringMatching(message) as string });

describe.each(PART_FORMATS)('readPart, %s', (format) => {
  it('reads a part that is a window of a larger buffer', async () => {
    const rows = resultRows(10);
    const part = encodePart(rows, format);
    const around = Buffer.alloc(part.length + 200, 0x22);
    part.copy(around, 77);
    const back = await decodePart(around.subarray(77, 77 + part.length), format);
    expect(asFloat32(back)).toEqual(rows);
  });

  it('hands out batches', async () => {
    const sizes: number[] = [];
    for await (const batch of readPart(encodePart(resultRows(2600), format), format))
      sizes.push(batch.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(2600);
    expect(sizes.length).toBeGreaterThan(2);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1000);
  });

  it('lets the event loop turn between batches', async () => {
    const part = encodePart(resultRows(2600), format);
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);
    await decodePart(part, format);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
  });

  it('names the place it was told', async () => {
    await expect(collect(readPart(Buffer.from('nonsense'), format, 's3://out/parts/1'))).rejects.toThrow(
      invalid(/^s3:\/\/out\/parts\/1\b.*: expected .+, got .+/),
    );
  });

  it('never gives wrong rows for a truncated part', async () => {
    const rows = resultRows(12, (index) => ({ uri: `s3://b/\u{1f98a}\r\n"${index}"\n` }));
    const part = encodePart(rows, format);
    for (let length = 0; length < part.length; length += 1 + (length % 5)) {
      const outcome = await outcomeOf(part.subarray(0, length), format);
      if (outcome instanceof Error) {
        expect(outcome).toEqual(invalid(/expected .+, got .+/));
      } else {
        // A text part cut exactly between two rows; Parquet always notices.
        expect(format).not.toBe('parquet');
        expect(asFloat32(outcome)).toEqual(rows.slice(0, outcome.length));
      }
    }
  });

  it('fails with a catalogued error, or gives rows, for any damaged byte', async () => {
    const part = encodePart(resultRows(8), format);
    const damage = fc.record({ at: fc.nat({ max: part.length - 1 }), value: fc.nat({ max: 255 }) });
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, value }) => {
        const damaged = Buffer.from(part);
        damaged[at] = value;
        const outcome = await outcomeOf(damaged, format);
        if (!(outcome instanceof Error)) return;
        refused += 1;
        expect(outcome).toBeInstanceOf(ImagemillError);
        expect(['CONTRACT_INVALID', 'CONTRACT_VERSION_UNKNOWN']).toContain((outcome as ImagemillError).code);
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeGreaterThan(0);
  });
});

describe('readPart, what a text part may hold', () => {
  const line = (changes: object): string => `${JSON.stringify({ ...resultRow(1), ...changes })}\n`;

  it('leaves out fields of later versions', async () => {
    const [row] = await decodePart(Buffer.from(line({ rotation: 90 })), 'jsonl');
    expect(row && asFloat32([row])).toEqual([resultRow(1)]);
    const csv = encodePart([resultRow(1)], 'csv')
      .toString()
      .split('\r\n');
    const wider = Buffer.from(`rotation,${csv[0]}\r\n90,${csv[1]}\r\n`);
    expect(asFloat32(await decodePart(wider, 'csv'))).toEqual([resultRow(1)]);
  });

  it.each<[string, string, RegExp]>([
    [
      'a wrong type',
      line({}) + line({ width: '500' }),
      /^jsonl part, line 2: expected a result row, got width: /,
    ],
    ['a missing field', line({ model: undefined }), /line 1: expected a result row, got model: /],
    ['no JSON', `${line({})}{"uri":\n`, /line 2: expected JSON, got /],
    ['an empty line', `${line({})}\n`, /line 2: expected JSON, got /],
    ['lists of different lengths', line({ ids: [1] }), /line 1: expected as many labels and scores as ids/],
    [
      'an embedding with a hole',
      line({ embedding: [1, null] }),
      /line 1: expected embedding to be finite float32/,
    ],
    ['a cut line', line({}).trimEnd(), /line 1: expected a line feed at its end, got the end of the file/],
  ])('refuses JSONL with %s', async (_, text, message) => {
    await expect(decodePart(Buffer.from(text), 'jsonl')).rejects.toThrow(invalid(message));
  });

  it('refuses CSV that is not UTF-8', async () => {
    const part = encodePart(resultRows(2), 'csv');
    part[part.indexOf('photos')] = 0xff;
    await expect(decodePart(part, 'csv')).rejects.toThrow(invalid(/UTF-8/));
  });

  it('tells numbers of an embedding that are objects', async () => {
    const row = JSON.stringify({ ...resultRow(0), embedding: [{ toString: null }] });
    await expect(decodePart(Buffer.from(`${row}\n`), 'jsonl')).rejects.toThrow(
      invalid(/float32 numbers, got one of type object/),
    );
  });

  it('takes -0 for 0, as Parquet does', async () => {
    const row = JSON.stringify(resultRow(0)).replace('"width":500', '"width":-0');
    expect((await decodePart(Buffer.from(`${row}\n`), 'jsonl'))[0]?.width).toBe(0);
  });

  it('refuses JSONL that is not UTF-8', async () => {
    const bytes = Buffer.from(line({ uri: 's3://b/X.jpg' }));
    bytes[bytes.indexOf('X')] = 0xff;
    await expect(decodePart(bytes, 'jsonl')).rejects.toThrow(invalid(/line 1: expected JSON/));
  });

  const header = 'uri,digest,width,height,ids,labels,scores,model\r\n';
  it.each<[string, string, RegExp]>([
    ['no bytes', '', /expected a CSV file that ends in CRLF, got ""/],
    [
      'a header without a column',
      'uri,digest\r\n',
      /expected a CSV header with uri,.* got one without width,/,
    ],
    ['too few fields', `${header}a,b,1\r\n`, /expected CSV, got Invalid Record Length/],
    ['an open quote', `${header}"a,b\r\n`, /expected CSV, got Quote Not Closed/],
    [
      'a width in words',
      `${header}u,d,wide,1,[],[],[],m\r\n`,
      /record 1: expected a result row, got width: /,
    ],
    ['an empty width', `${header}u,d,,1,[],[],[],m\r\n`, /record 1: expected a result row, got width: /],
    ['a list that is not JSON', `${header}u,d,1,1,[,[],[],m\r\n`, /record 1, ids: expected a JSON array/],
    [
      'a list that is no list',
      `${header}u,d,1,1,7,[],[],m\r\n`,
      /record 1: expected a result row, got ids: /,
    ],
  ])('refuses CSV with %s', async (_, text, message) => {
    await expect(decodePart(Buffer.from(text), 'csv')).rejects.toThrow(invalid(message));
  });
});

describe('readPart, what a Parquet part may hold', () => {
  const kvMetadata = [{ key: 'imagemill.schema', value: 'imagemill.results/1' }];
  const uri = { name: 'uri', data: ['a'] };
  const names = ['uri', 'digest', 'width', 'height', 'ids', 'labels', 'scores', 'model'];
  const textColumns = names.map((name) => ({ name, data: ['text'] }));

  it('refuses a Parquet file that is not a part', async () => {
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: [uri] }));
    await expect(decodePart(bytes, 'parquet')).rejects.toThrow(
      expect.objectContaining({
        code: 'CONTRACT_VERSION_UNKNOWN',
        message:
          'parquet part: expected a Parquet file of "imagemill.results/1", got one without imagemill.schema',
      }),
    );
  });

  it('refuses a part of a later version', async () => {
    const later = [{ key: 'imagemill.schema', value: 'imagemill.results/2' }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: [uri], kvMetadata: later }));
    await expect(decodePart(bytes, 'parquet')).rejects.toThrow(
      expect.objectContaining({
        code: 'CONTRACT_VERSION_UNKNOWN',
        message: expect.stringContaining('got "imagemill.results/2"') as string,
      }),
    );
  });

  it('refuses a part without one of its columns', async () => {
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: [uri], kvMetadata }));
    await expect(decodePart(bytes, 'parquet')).rejects.toThrow(
      invalid(/expected columns uri, digest, .*, got none named digest, width/),
    );
  });

  it('refuses a part without its checksum', async () => {
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: textColumns, kvMetadata }));
    await expect(decodePart(bytes, 'parquet')).rejects.toThrow(
      invalid(/expected a checksum under imagemill.crc32, got none/),
    );
  });

  it('refuses any damage to the row groups before it decodes them', async () => {
    const part = encodePart(resultRows(3), 'parquet');
    const rowGroupsEnd = part.length - 8 - part.readUInt32LE(part.length - 8);
    expect(rowGroupsEnd).toBeGreaterThan(300);
    for (let at = 0; at < rowGroupsEnd; at++) {
      const damaged = Buffer.from(part);
      damaged[at] = (part[at] as number) ^ 0x10;
      await expect(decodePart(damaged, 'parquet')).rejects.toThrow(
        invalid(
          /expected row groups with the checksum "\d+ [0-9a-f]{8}" of imagemill.crc32, got "\d+ [0-9a-f]{8}"/,
        ),
      );
    }
  });

  it('refuses a column of another type', async () => {
    const checked = [...kvMetadata, { key: 'imagemill.crc32', value: '0 00000000' }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: textColumns, kvMetadata: checked }));
    await expect(decodePart(bytes, 'parquet')).rejects.toThrow(
      invalid(/row 0: expected a result row, got width: .*; ids: /),
    );
  });
});

async function outcomeOf(
  bytes: Uint8Array,
  format: PartFormat,
): Promise<Awaited<ReturnType<typeof decodePart>> | Error> {
  try {
    return await decodePart(bytes, format);
  } catch (error) {
    return error as Error;
  }
}
