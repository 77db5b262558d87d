import { expect, it, describe } from 'vitest';
import { z } from 'zod';
import { defineDocument } from '../../src/contract/document.ts';
import type { ImagemillError } from '../../src/contract/errors.ts';

const note = defineDocument('note', 2, { text: z.string().min(1) });
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function codeOf(work: () => unknown): [string, string] {
  try {
    work();
  } catch (error) {
    return [(error as ImagemillError).code, (error as ImagemillError).message];
  }
  throw new Error('expected a fault');
}

describe('defineDocument', () => {
  it('refuses text that is not UTF-8, however well it is formed', () => {
    const bytes = Buffer.from('{"schema":"imagemill.note/2","text":"\xe9"}', 'latin1');
    expect(codeOf(() => note.decode(bytes, 'here'))[0]).toBe('CONTRACT_INVALID');
  });

  it('reads back what it writes', () => {
    const value = { schema: 'imagemill.note/2', text: 'hello' };
    expect(note.decode(note.encode(value), 'here')).toEqual(value);
  });

  it('leaves unknown fields out, so that a later version may add some', () => {
    expect(note.parse({ schema: 'imagemill.note/2', text: 'a', more: 1 }, 'here')).toEqual({
      schema: 'imagemill.note/2',
      text: 'a',
    });
  });

  it.each([
    [{ schema: 'imagemill.note/3', text: 'a' }, '"imagemill.note/3"'],
    [{ schema: 'imagemill.note/1', text: 'a' }, '"imagemill.note/1"'],
    [{ text: 'a' }, 'one without a schema'],
    [null, 'one without a schema'],
    ['imagemill.note/2', 'one without a schema'],
    [{ schema: { toString: null } }, 'one whose schema is no text'],
    [{ schema: [[['imagemill.note/2']]] }, 'one whose schema is no text'],
    [{ schema: 'x'.repeat(1_000) }, `"${'x'.repeat(100)}…"`],
  ])('refuses an unknown version: %j', (value, got) => {
    const [code, message] = codeOf(() => note.parse(value, 'store/note.json'));
    expect(code).toBe('CONTRACT_VERSION_UNKNOWN');
    expect(message).toBe(`store/note.json: expected a document "imagemill.note/2", got ${got}`);
  });

  it('says which field is wrong and where', () => {
    const [code, message] = codeOf(() => note.parse({ schema: 'imagemill.note/2', text: '' }, 'job 7'));
    expect(code).toBe('CONTRACT_INVALID');
    expect(message).toMatch(/^job 7: text: /);
  });

  it('refuses bytes that are not JSON', () => {
    expect(codeOf(() => note.decode(encode({}).subarray(1), 'x'))[0]).toBe('CONTRACT_INVALID');
  });

  it('never writes a document it would not read', () => {
    expect(() => note.encode({ schema: 'imagemill.note/2', text: '' })).toThrow();
  });
});
