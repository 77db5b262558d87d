import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUtf8, inPieces, readLines, type Line } from '../../../src/pipeline/source/byte-lines.ts';

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function linesOf(bytes: Uint8Array, size: number, max = 1_000): Promise<Line[]> {
  const lines: Line[] = [];
  const tooLong = (line: number) => new RangeError(`line ${line}`);
  for await (const page of readLines(chunksOf(bytes, size), { offset: 0, line: 1 }, max, tooLong)) {
    lines.push(...page);
  }
  return lines;
}

describe('readLines', () => {
  it('gives the same lines however the bytes are cut', async () => {
    const piece = fc.constantFrom('a', 'bcd', '\n', '\r\n', '\r', 'é', '');
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 30 }),
        fc.integer({ min: 1, max: 9 }),
        async (parts, size) => {
          const text = parts.join('');
          const bytes = Buffer.from(text);
          const expected = text.split('\n');
          if (expected.at(-1) === '') expected.pop();
          const lines = await linesOf(bytes, size);
          // A `\r` ends a line only together with the `\n` after it.
          const ended = expected.map((line, index) =>
            line.endsWith('\r') && (index < expected.length - 1 || text.endsWith('\n'))
              ? line.slice(0, -1)
              : line,
          );
          expect(lines.map((line) => Buffer.from(line.bytes).toString())).toEqual(ended);
          expect(lines.map((line) => line.number)).toEqual(expected.map((_, index) => index + 1));
          expect(lines.at(-1)?.end ?? 0).toBe(bytes.length);
        },
      ),
    );
  });

  it('counts the end of a line in its limit, and names the line that is too long', async () => {
    const bytes = Buffer.from(`ok\n${'x'.repeat(9)}\n`);
    expect(await linesOf(bytes, 4, 10)).toHaveLength(2);
    await expect(linesOf(bytes, 4, 9)).rejects.toThrow('line 2');
    await expect(linesOf(bytes, 100, 9)).rejects.toThrow('line 2');
  });

  it('gives up on a line without end before it is in memory', async () => {
    let produced = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        produced += 1;
        yield new Uint8Array(100).fill(0x61);
      }
    }
    const reading = (async () => {
      for await (const _page of readLines(
        endless(),
        { offset: 0, line: 1 },
        1_000,
        () => new Error('long'),
      )) {
        throw new Error('no line was to be found');
      }
    })();
    await expect(reading).rejects.toThrow('long');
    expect(produced).toBe(11);
  });
});

it('inPieces keeps the bytes and bounds the pieces', async () => {
  const bytes = Uint8Array.from({ length: 1_000 }, (_, index) => index % 251);
  const pieces: Uint8Array[] = [];
  for await (const piece of inPieces(chunksOf(bytes, 333), 100)) pieces.push(piece);
  expect(Math.max(...pieces.map((piece) => piece.length))).toBe(100);
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
});

it('decodeUtf8 strips a byte order mark and refuses other encodings', () => {
  expect(decodeUtf8(Buffer.from('\uFEFFé'))).toBe('é');
  expect(decodeUtf8(Buffer.from('é', 'latin1'))).toBeNull();
});
