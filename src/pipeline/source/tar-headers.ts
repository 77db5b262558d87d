import { ImagemillError } from '../../contract/errors.ts';

/** Tar files are made of blocks of this size (POSIX.1-2017, pax, "ustar Interchange Format"). */
export const TAR_BLOCK_BYTES = 512;

/** One header block. */
export interface TarHeader {
  readonly name: string;
  /** Bytes of the body that follows, without padding. */
  readonly bytes: number;
  /** The type flag: `0` a file, `5` a folder, `x` pax records for the next member, … */
  readonly type: string;
}

/** What pax records say about the member that follows them. */
export interface PaxRecords {
  readonly path?: string;
  readonly bytes?: number;
}

const text = new TextDecoder('utf-8');
const SPACE = 0x20;
const CHECKSUM = { offset: 148, length: 8 };

/**
 * Parses a header block: v7, ustar, GNU (base-256 sizes) and pax.
 * @param where tar and offset, for messages
 * @returns null for a block of zeros, which ends a tar
 * @throws ImagemillError TAR_INVALID
 */
export function parseTarHeader(block: Uint8Array, where: string): TarHeader | null {
  if (block.every((byte) => byte === 0)) return null;
  verifyChecksum(block, where);
  const type = String.fromCharCode(block[156] ?? 0);
  return {
    name: readName(block),
    bytes: readNumber(block.subarray(124, 136), 'size', where),
    // Before POSIX a file had NUL here, and 7 is a file that wants to be contiguous.
    type: type === '\0' || type === '7' ? '0' : type,
  };
}

function verifyChecksum(block: Uint8Array, where: string): void {
  const stored = readNumber(
    block.subarray(CHECKSUM.offset, CHECKSUM.offset + CHECKSUM.length),
    'checksum',
    where,
  );
  let unsigned = 0;
  let signed = 0;
  for (const [index, byte] of block.entries()) {
    const inChecksum = index >= CHECKSUM.offset && index < CHECKSUM.offset + CHECKSUM.length;
    const value = inChecksum ? SPACE : byte;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  // Some old writers summed signed bytes.
  if (stored === unsigned || stored === signed) return;
  throw new ImagemillError(
    'TAR_INVALID',
    `${where}: expected a header with the checksum ${unsigned}, got ${stored}`,
  );
}

function readName(block: Uint8Array): string {
  const name = readText(block.subarray(0, 100));
  // In GNU's own format ("ustar" and a space) these bytes are times, not a prefix.
  const isPosix = readText(block.subarray(257, 263)) === 'ustar';
  const prefix = isPosix ? readText(block.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Text up to the first NUL. */
export function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return text.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** A number in octal digits, or in base 256 where the first bit is set (GNU, for bodies of 8 GiB and more). */
function readNumber(field: Uint8Array, name: string, where: string): number {
  const first = field[0] ?? 0;
  if (first >= 0x80) return readBase256(field, name, where);
  const digits = readText(field).trim();
  if (!/^[0-7]*$/.test(digits)) {
    throw new ImagemillError('TAR_INVALID', `${where}: expected a header with an octal ${name}, got another`);
  }
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function readBase256(field: Uint8Array, name: string, where: string): number {
  let value = (field[0] ?? 0) & 0x7f;
  for (const byte of field.subarray(1)) value = value * 256 + byte;
  if (Number.isSafeInteger(value)) return value;
  throw new ImagemillError('TAR_INVALID', `${where}: expected a header with a positive ${name}, got another`);
}

/**
 * Parses the body of a pax header: records `<length> <key>=<value>\n`, lengths in bytes.
 * @throws ImagemillError TAR_INVALID, also for sparse files, whose bodies are not their contents
 */
export function parsePaxRecords(body: Uint8Array, where: string): PaxRecords {
  const damaged = () => new ImagemillError('TAR_INVALID', `${where}: expected pax records, got others`);
  let records: PaxRecords = {};
  let start = 0;
  while (start < body.length) {
    const space = body.indexOf(SPACE, start);
    const digits = space < 0 ? '' : text.decode(body.subarray(start, space));
    const end = start + Number(digits);
    if (
      !/^[1-9][0-9]{0,9}$/.test(digits) ||
      end > body.length ||
      end <= space + 1 ||
      body[end - 1] !== 0x0a
    ) {
      throw damaged();
    }
    const record = text.decode(body.subarray(space + 1, end - 1));
    const equals = record.indexOf('=');
    if (equals < 1) throw damaged();
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (key === 'path') records = { ...records, path: value };
    if (key === 'size') {
      if (!/^[0-9]{1,15}$/.test(value)) throw damaged();
      records = { ...records, bytes: Number(value) };
    }
    if (key.startsWith('GNU.sparse.')) throw sparseError(where);
    start = end;
  }
  return records;
}

/** A sparse file's body is a map and pieces: there is no range of bytes that is the image. */
export function sparseError(where: string): ImagemillError {
  return new ImagemillError('TAR_INVALID', `${where}: expected plain files, got a sparse one`);
}
