const LINE_BREAKS = /[\s\u0085]*[\n\r\v\f\u0085\u2028\u2029][\s\u0085]*/g;
/** Everything that moves a cursor, colours a terminal, or turns the direction of text. */
const INVISIBLE = /[\p{Cc}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

/**
 * Text that may come from anywhere (a key, a label, a reply), as one line that a terminal and a log show as it is:
 * whoever chose the text can neither begin another line nor hide what stands there.
 */
export function printable(text: string): string {
  return text.trim().replaceAll(LINE_BREAKS, ' ').replaceAll(INVISIBLE, visible);
}

function visible(character: string): string {
  return character === '\t' ? ' ' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
