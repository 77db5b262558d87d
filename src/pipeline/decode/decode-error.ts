import { ImageError } from '../../contract/errors.ts';
import type { ItemErrorCode } from '../../contract/errors.ts';
import { FORMAT_NAMES } from './image-format.ts';
import type { ImageFormat } from './image-format.ts';

/** Characters of a decoder's own words that are kept. */
const MAX_REASON_CHARACTERS = 200;

const TRUNCATION = new RegExp(
  [
    'premature end', // libjpeg: of the file, or of a data segment, which it would fill with grey
    'unexpected end', // libnsgif, libheif
    'end of file',
    'insufficient input data', // libheif
    'read error (?:at|on) (?:scanline|strip|tile)', // libtiff
    'got \\d+ bytes, expected', // libtiff
  ].join('|'),
  'i',
);

/** What libvips means by an error, told by its words since it has no codes. */
export function classifyDecodeError(error: unknown): ItemErrorCode {
  const message = messageOf(error);
  if (/timeout: \d+% complete/.test(message)) return 'IMAGE_TIMEOUT';
  if (/exceeds pixel limit/.test(message)) return 'IMAGE_TOO_MANY_PIXELS';
  return TRUNCATION.test(message) ? 'IMAGE_TRUNCATED' : 'IMAGE_CORRUPT';
}

/** A decoder's error as one sentence under a code of the catalogue. */
export function toImageError(error: unknown, format: ImageFormat): ImageError {
  if (error instanceof ImageError) return error;
  const code = classifyDecodeError(error);
  const expected = code === 'IMAGE_TRUNCATED' ? 'a complete' : 'a readable';
  return new ImageError(
    code,
    `expected ${expected} ${FORMAT_NAMES[format]} image, got "${reasonOf(messageOf(error))}" from the decoder`,
    { cause: error },
  );
}

/** The last line is the cause; the ones before repeat it or trace the reads that led there. */
function reasonOf(message: string): string {
  const lines = message
    .replace(/^Input buffer has corrupt header:/, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /[a-z]{3}/i.test(line) && !line.startsWith('source: bad seek'));
  return (lines.at(-1) ?? 'unreadable header').slice(0, MAX_REASON_CHARACTERS);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
