import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { printable, printableLine, printableStream } from '../../src/telemetry/printable.ts';

const WORDS = 'Grüße, 日本, 👩‍🚀 e\u0301\t"x"\r\nnext\n';

it('leaves words, tabs and ends of lines as they are', () => {
  expect(printable(WORDS)).toBe(WORDS);
});

it('shows what a terminal would act on, so that JSON reads it back', () => {
  const acting = '\u0000\u001B[31m\u0007\u0008\u007F\u009B2J\u009D\u202Egnp\u2066\u2028\r';
  const shown = printable(acting);
  expect(shown).toMatch(/^[\u0020-\u007e]+$/);
  expect(JSON.parse(`"${shown}"`)).toBe(acting);
});

it('passes text and bytes on at once', () => {
  const terminal = new PassThrough();
  const stream = printableStream(terminal);
  stream.write('a\u001Bb\n');
  stream.write(new TextEncoder().encode('é\u009B\r\n'));
  stream.write('x'.repeat(100_000));
  expect((terminal.read() as Buffer).toString()).toBe(`a\\u001bb\né\\u009b\r\n${'x'.repeat(100_000)}`);
});

it('keeps what it is given on one line', () => {
  const forged = ' photo.png \r\n\t{"level":60}\n\nimagemill: all is well [OK]\u2028\u0085\v\f end\u001B[1A ';
  expect(printableLine(forged)).toBe('photo.png {"level":60} imagemill: all is well [OK] end\\u001b[1A');
});
