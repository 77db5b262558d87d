import { expect } from 'vitest';
import { ImagemillError, type ErrorCode } from '../../src/contract/errors.ts';
import type { ObjectInfo, ObjectStore } from '../../src/storage/object-store.ts';

export const MIB = 1024 * 1024;

/** Keys that trip stores which build URIs, XML or shell words from them. */
export const ODD_KEYS = [
  'plain.jpg',
  'a space.jpg',
  ' leading and trailing ',
  'plus+sign.jpg',
  'per%cent.jpg',
  'per%20cent.jpg',
  'ha#sh.jpg',
  'quest?ion=1&x=2',
  `quotes "'\`.jpg`,
  'angle <b>&amp;</b>',
  'new\nline.jpg',
  'carriage\rreturn',
  'tab\there',
  'back\\slash',
  'semi;colon,comma:colon@at$dollar!~*()[]{}|^',
  'ünïcödé/日本語/🖼️.jpg',
  'combining e\u0301 and composed é',
  'private \uE000 use',
  '\uFFFD replacement',
  '\u202Eright to left',
  '.hidden',
  '...',
  'deep/er/and/deep/er/still/x',
];

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Bytes whose every 4-byte word tells its position. */
export function patternOf(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let index = 0; index < words.length; index++) words[index] = index * 2654435761;
  return new Uint8Array(words.buffer, 0, length);
}

export async function* streamOf(body: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < body.length; start += chunkBytes) {
    yield body.slice(start, start + chunkBytes);
  }
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

export async function pagesOf(pages: AsyncIterable<ObjectInfo[]>): Promise<ObjectInfo[][]> {
  const all: ObjectInfo[][] = [];
  for await (const page of pages) all.push(page);
  return all;
}

export async function keysOf(store: ObjectStore, prefix = '', startAfter?: string): Promise<string[]> {
  const pages = await pagesOf(store.list(prefix, startAfter === undefined ? {} : { startAfter }));
  return pages.flat().map(({ key }) => key);
}

export const inUtf8Order = (keys: readonly string[]): string[] =>
  [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

export async function expectCode(promise: Promise<unknown>, code: ErrorCode): Promise<ImagemillError> {
  const error: unknown = await promise.then(
    (value) => expect.fail(`expected ${code}, got ${JSON.stringify(value)}`),
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ImagemillError);
  expect(error).toMatchObject({ code });
  return error as ImagemillError;
}
