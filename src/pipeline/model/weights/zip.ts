/**
 * The directory of a zip archive in memory (PKWARE APPNOTE 6.3, with zip64), for archives that store their members
 * uncompressed, as PyTorch's do. General zip packages read asynchronously and in streams; weights need the bytes of
 * members in place, without a copy.
 */
import { crc32 } from 'node:zlib';
import { ByteCursor } from './byte-cursor.ts';
import { corrupt, quoted } from './faults.ts';

export interface ZipMember {
  readonly name: string;
  /** Compressed size in bytes; the size of the member itself when {@link stored}. */
  readonly size: number;
  readonly stored: boolean;
  readonly crc: number;
  /** Position of the local header. */
  readonly headerAt: number;
}

export type ZipDirectory = ReadonlyMap<string, ZipMember>;

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END_RECORD = 0x06054b50;
const ZIP64_END_RECORD = 0x06064b50;
const ZIP64_LOCATOR = 0x07064b50;

const LOCAL_HEADER_BYTES = 30;
const CENTRAL_HEADER_BYTES = 46;
const END_RECORD_BYTES = 22;
const ZIP64_LOCATOR_BYTES = 20;
const MAX_COMMENT_BYTES = 0xffff;
const ZIP64_EXTRA = 0x0001;
const IN_ZIP64 = 0xffffffff;
const ENTRIES_IN_ZIP64 = 0xffff;
const FLAG_ENCRYPTED = 0x1;

/** A state dict has one member per storage; the largest models have some thousands. */
const MAX_MEMBERS = 1_000_000;

/** Whether the bytes start as a zip archive does. */
export function startsAsZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04;
}

/**
 * The members of an archive by name.
 *
 * @throws ImagemillError MODEL_CORRUPT
 */
export function readZipDirectory(bytes: Uint8Array, where: string): ZipDirectory {
  const { entries, offset } = findDirectory(bytes, where);
  if (entries > MAX_MEMBERS || entries * CENTRAL_HEADER_BYTES > bytes.byteLength) {
    throw corrupt(
      where,
      `expected a zip directory that fits in ${bytes.byteLength} bytes, got ${entries} members`,
    );
  }
  const cursor = new ByteCursor(bytes, Math.min(offset, bytes.byteLength), where);
  const members = new Map<string, ZipMember>();
  for (let i = 0; i < entries; i++) {
    const member = readCentralHeader(cursor);
    if (members.has(member.name)) {
      throw corrupt(where, `expected each zip member once, got ${quoted(member.name)} twice`);
    }
    members.set(member.name, member);
  }
  return members;
}

/**
 * The bytes of a stored member: a view of the archive. Checks their CRC-32, except where it is 0, which PyTorch writes
 * when told not to compute it; that reads the whole member.
 *
 * @throws ImagemillError MODEL_CORRUPT
 */
export function memberBytes(bytes: Uint8Array, member: ZipMember, where: string): Uint8Array {
  const shown = `zip member ${quoted(member.name)}`;
  if (!member.stored)
    throw corrupt(where, `expected ${shown} to be stored without compression or encryption`);
  const cursor = new ByteCursor(bytes, Math.min(member.headerAt, bytes.byteLength), where);
  const header = new ByteCursor(cursor.take(LOCAL_HEADER_BYTES), 0, where);
  if (header.uint32() !== LOCAL_HEADER) throw corrupt(where, `expected a local header of ${shown}`);
  header.position = 26;
  const nameBytes = header.uint16();
  const extraBytes = header.uint16();
  if (cursor.text(nameBytes) !== member.name) throw corrupt(where, `expected one name of ${shown}, got two`);
  cursor.skip(extraBytes);
  const content = cursor.take(member.size);
  if (member.crc !== 0 && crc32(content) !== member.crc) {
    throw corrupt(where, `expected ${shown} to match its checksum; the file is damaged`);
  }
  return content;
}

function findDirectory(bytes: Uint8Array, where: string): { entries: number; offset: number } {
  const endAt = findEndRecord(bytes);
  if (endAt === null)
    throw corrupt(where, 'expected a zip directory at the end of the file; the file is truncated');
  const end = new ByteCursor(bytes, endAt + 10, where);
  const entries = end.uint16();
  const size = end.uint32();
  const offset = end.uint32();
  if (entries !== ENTRIES_IN_ZIP64 && size !== IN_ZIP64 && offset !== IN_ZIP64) return { entries, offset };
  return findZip64Directory(bytes, endAt, where) ?? { entries, offset };
}

function findEndRecord(bytes: Uint8Array): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = bytes.byteLength - END_RECORD_BYTES;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT_BYTES); at--) {
    if (view.getUint32(at, true) === END_RECORD && at + view.getUint16(at + 20, true) === last) return at;
  }
  return null;
}

function findZip64Directory(
  bytes: Uint8Array,
  endAt: number,
  where: string,
): { entries: number; offset: number } | null {
  if (endAt < ZIP64_LOCATOR_BYTES) return null;
  const locator = new ByteCursor(bytes, endAt - ZIP64_LOCATOR_BYTES, where);
  if (locator.uint32() !== ZIP64_LOCATOR) return null;
  locator.skip(4);
  const record = new ByteCursor(bytes, Math.min(locator.uint64(), bytes.byteLength), where);
  if (record.uint32() !== ZIP64_END_RECORD) throw corrupt(where, 'expected a zip64 directory record');
  record.skip(28);
  const entries = record.uint64();
  record.skip(8);
  return { entries, offset: record.uint64() };
}

function readCentralHeader(cursor: ByteCursor): ZipMember {
  const { where } = cursor;
  if (cursor.uint32() !== CENTRAL_HEADER) {
    throw corrupt(where, `expected a zip directory entry at byte ${cursor.position - 4}`);
  }
  cursor.skip(4);
  const flags = cursor.uint16();
  const method = cursor.uint16();
  cursor.skip(4);
  const crc = cursor.uint32();
  const compressedSize = cursor.uint32();
  const fullSize = cursor.uint32();
  const nameBytes = cursor.uint16();
  const extraBytes = cursor.uint16();
  const commentBytes = cursor.uint16();
  cursor.skip(8);
  const headerAt = cursor.uint32();
  const name = cursor.text(nameBytes);
  const extra = new ByteCursor(cursor.take(extraBytes), 0, where);
  cursor.skip(commentBytes);
  const [size, compressed, at] = widen([fullSize, compressedSize, headerAt], extra);
  const stored = method === 0 && (flags & FLAG_ENCRYPTED) === 0;
  if (stored && size !== compressed) {
    throw corrupt(
      where,
      `expected zip member ${quoted(name)} to have one size, got ${size} and ${compressed}`,
    );
  }
  return { name, size: compressed, stored, crc, headerAt: at };
}

/** Replaces each field of 32 ones by the next 64-bit field of the zip64 extra, in the order of the specification. */
function widen(
  fields: readonly [number, number, number],
  extra: ByteCursor,
): readonly [number, number, number] {
  if (!fields.includes(IN_ZIP64)) return fields;
  while (extra.remaining > 0) {
    const id = extra.uint16();
    const body = new ByteCursor(extra.take(extra.uint16()), 0, extra.where);
    if (id !== ZIP64_EXTRA) continue;
    const [size, compressed, headerAt] = fields;
    const next = (field: number): number => (field === IN_ZIP64 ? body.uint64() : field);
    return [next(size), next(compressed), next(headerAt)];
  }
  throw corrupt(extra.where, 'expected the zip64 fields of a large zip member');
}
