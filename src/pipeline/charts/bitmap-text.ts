import { ASCENT, ELLIPSIS, GLYPHS, type Glyph } from './glyphs.ts';

/** Pixels of the picture per pixel of a glyph: ordinary text, and the small print. */
export const TEXT_SCALE = 2;
export const SMALL_SCALE = 1;

/** Between letters, in pixels of a glyph. */
const LETTER_SPACE = 1;
/** Of the narrowest glyph with the space after it. */
const NARROWEST_ADVANCE = 2;
const COMBINING_MARKS = /\p{Mark}/gu;
const UNKNOWN = '?';

export interface TextPlace {
  readonly x: number;
  /** Of the base line. */
  readonly y: number;
  readonly colour: string;
  /** Which part of the text is at x; `start` unless said. */
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly scale?: number;
  /** Turned by 90° to the left around (x, y), to be read from below upwards. */
  readonly upwards?: boolean;
}

/** Height of a capital letter in pixels. */
export function capHeight(scale: number = TEXT_SCALE): number {
  return ASCENT * scale;
}

/** Width in pixels. */
export function textWidth(text: string, scale: number = TEXT_SCALE): number {
  return widthOf(glyphsOf(text)) * scale;
}

/** The text, or as much of its beginning as fits into a width in pixels, with an ellipsis; '' where nothing fits. */
export function fitText(text: string, width: number, scale: number = TEXT_SCALE): string {
  if (textWidth(text, scale) <= width) return text;
  const letters = Array.from(text).slice(0, Math.max(0, Math.floor(width / (NARROWEST_ADVANCE * scale))));
  for (let { length } = letters; length > 0; length--) {
    const shortened = `${letters.slice(0, length).join('').trimEnd()}${ELLIPSIS}`;
    if (textWidth(shortened, scale) <= width) return shortened;
  }
  return '';
}

/**
 * Text as an SVG path of rectangles, on whole pixels. Accents are left out; what is not printable ASCII then is a
 * question mark.
 */
export function drawText(text: string, place: TextPlace): string {
  const { x, y, colour, anchor = 'start', scale = TEXT_SCALE, upwards = false } = place;
  const glyphs = glyphsOf(text);
  const width = widthOf(glyphs) * scale;
  let left = anchor === 'start' ? 0 : -Math.round(anchor === 'middle' ? width / 2 : width);
  let path = '';
  for (const { runs, width: columns } of glyphs) {
    for (const { column, row, length } of runs) {
      path += `M${left + column * scale} ${(row - ASCENT) * scale}h${length * scale}v${scale}h${-length * scale}z`;
    }
    left += (columns + LETTER_SPACE) * scale;
  }
  if (path === '') return '';
  const turn = upwards ? ' rotate(-90)' : '';
  return `<path fill="${colour}" transform="translate(${Math.round(x)} ${Math.round(y)})${turn}" d="${path}"/>`;
}

function glyphsOf(text: string): Glyph[] {
  return Array.from(text, (char) => (GLYPHS.has(char) ? char : char.normalize('NFKD')))
    .join('')
    .replaceAll(COMBINING_MARKS, '')
    .split(/(?:)/u)
    .flatMap((char) => GLYPHS.get(char) ?? GLYPHS.get(UNKNOWN) ?? []);
}

function widthOf(glyphs: readonly Glyph[]): number {
  const columns = glyphs.reduce((sum, glyph) => sum + glyph.width, 0);
  return columns + LETTER_SPACE * Math.max(0, glyphs.length - 1);
}
