import { Writable } from 'node:stream';

/**
 * What a terminal acts on rather than shows, but for tabs and ends of lines: control characters, the second set of them
 * (C1) among these, and marks that reverse the direction of what follows.
 */
const ACTS_ON_TERMINAL =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]|\r(?!\n)/g;

/** Text that moves no cursor, whoever wrote it: `\u001b` for an escape character, which JSON reads back as it was. */
export function printable(text: string): string {
  return text.replace(
    ACTS_ON_TERMINAL,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const LINE_BREAKS = /[\s\u0085]*[\n\r\v\f\u0085\u2028\u2029][\s\u0085]*/g;

/** The same on one line: whoever chose the text (a key, a label, a reply) cannot begin another with it. */
export function printableLine(text: string): string {
  return printable(text.trim().replaceAll(LINE_BREAKS, ' '));
}

/** A stream that writes to a terminal what is printable. Chunks are whole lines; each is passed on at once. */
export function printableStream(terminal: NodeJS.WritableStream): NodeJS.WritableStream {
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Uint8Array, _encoding, done) {
      terminal.write(printable(typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)));
      done();
    },
  });
}
