// Reads zip files (wheels are such) at random, and unpacks single entries as streams.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { SetupFault } from './fault.mjs';

/**
 * @typedef {object} Entry
 * @property {string} name
 * @property {number} method 0: stored, 8: deflated
 * @property {number} flags
 * @property {number} crc CRC-32 of what is unpacked
 * @property {number} packedBytes
 * @property {number} bytes unpacked
 * @property {number} offset of its local header
 * @property {number} mode of Unix, 0 where there is none
 */

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
/** The comment at the end has at most 65,535 bytes. */
const LONGEST_END_BYTES = END_BYTES + 0xffff;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_BYTES = 46;
/** TensorFlow's own has 4 MB. */
const LARGEST_DIRECTORY_BYTES = 64 * 1024 * 1024;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const ENCRYPTED = 1;
const STORED = 0;
const DEFLATED = 8;
const TYPE_OF_FILE = 0o170000;
const SYMBOLIC_LINK = 0o120000;

/**
 * Lists what is in a zip file.
 * @param {string} path
 * @returns {Promise<Entry[]>}
 * @throws {SetupFault} where it is no whole zip file, needs zip64, or has names that leave a directory
 */
export async function listZip(path) {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const tail = await readAt(file, Math.max(0, size - LONGEST_END_BYTES), Math.min(size, LONGEST_END_BYTES));
    const { count, bytes, offset } = readEnd(tail, path);
    if (bytes > LARGEST_DIRECTORY_BYTES || offset + bytes > size) {
      throw broken(path, `its list of files (${bytes} bytes at ${offset}) does not fit into it`);
    }
    const entries = readDirectory(await readAt(file, offset, bytes), count, path);
    refuseRepeated(entries, path);
    return entries;
  } finally {
    await file.close();
  }
}

function readEnd(tail, path) {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    const count = tail.readUInt16LE(at + 10);
    const bytes = tail.readUInt32LE(at + 12);
    const offset = tail.readUInt32LE(at + 16);
    if (count === 0xffff || bytes === 0xffffffff || offset === 0xffffffff) throw needsZip64(path);
    return { count, bytes, offset };
  }
  throw broken(path, 'its end is missing');
}

/** @returns {Entry[]} */
function readDirectory(buffer, count, path) {
  const entries = [];
  let at = 0;
  for (let number = 0; number < count; number++) {
    if (at + CENTRAL_BYTES > buffer.length || buffer.readUInt32LE(at) !== CENTRAL_SIGNATURE) {
      throw broken(path, `file ${number + 1} of ${count} is not listed where it should be`);
    }
    const nameBytes = buffer.readUInt16LE(at + 28);
    const nameAt = at + CENTRAL_BYTES;
    const entry = {
      name: buffer.toString('utf8', nameAt, nameAt + nameBytes),
      flags: buffer.readUInt16LE(at + 8),
      method: buffer.readUInt16LE(at + 10),
      crc: buffer.readUInt32LE(at + 16),
      packedBytes: buffer.readUInt32LE(at + 20),
      bytes: buffer.readUInt32LE(at + 24),
      mode: buffer.readUInt16LE(at + 40),
      offset: buffer.readUInt32LE(at + 42),
    };
    if ([entry.packedBytes, entry.bytes, entry.offset].includes(0xffffffff)) throw needsZip64(path);
    refuseEscape(entry.name, path);
    entries.push(entry);
    at = nameAt + nameBytes + buffer.readUInt16LE(at + 30) + buffer.readUInt16LE(at + 32);
  }
  return entries;
}

function refuseEscape(name, path) {
  const parts = (name.endsWith('/') ? name.slice(0, -1) : name).split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\0:]/.test(name)) {
    throw broken(path, `it has a file named ${JSON.stringify(name)}, which is no path within a directory`);
  }
}

function refuseRepeated(entries, path) {
  const names = new Set();
  for (const { name } of entries) {
    if (names.has(name)) throw broken(path, `it has two files named ${JSON.stringify(name)}`);
    names.add(name);
  }
}

/**
 * Unpacks one file, by its name, below a directory.
 * @param {string} path of the zip file
 * @param {Entry} entry
 * @param {string} directory
 * @param {AbortSignal} [signal]
 * @throws {SetupFault} where it is not what the list says
 */
export async function unpackEntry(path, entry, directory, signal) {
  const { name, method, bytes, packedBytes, mode } = entry;
  if ((entry.flags & ENCRYPTED) !== 0 || (method !== STORED && method !== DEFLATED)) {
    throw broken(path, `${name} is packed in a way that is not read here (method ${method})`);
  }
  if ((mode & TYPE_OF_FILE) === SYMBOLIC_LINK) throw broken(path, `${name} is a symbolic link`);
  const start = await startOf(path, entry);
  const target = join(directory, name);
  await mkdir(dirname(target), { recursive: true });
  const output = createWriteStream(target, { flags: 'wx', mode: (mode & 0o111) === 0 ? 0o644 : 0o755 });
  const packed =
    packedBytes === 0 ? [] : createReadStream(path, { start, end: start + packedBytes - 1, signal });
  const steps = method === DEFLATED ? [createInflateRaw()] : [];
  try {
    await pipeline([packed, ...steps, checked(entry, path), output], { signal });
  } catch (error) {
    if (error?.code?.startsWith('Z_')) throw broken(path, `${name}: ${error.message}`);
    throw error;
  }
  if (output.bytesWritten !== bytes) {
    throw broken(path, `${name} has ${output.bytesWritten} bytes, its list says ${bytes}`);
  }
}

async function startOf(path, { name, offset }) {
  const file = await open(path);
  try {
    const local = await readAt(file, offset, LOCAL_BYTES);
    if (local.length < LOCAL_BYTES || local.readUInt32LE(0) !== LOCAL_SIGNATURE) {
      throw broken(path, `${name} is not where its list says`);
    }
    return offset + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
  } finally {
    await file.close();
  }
}

/** Lets through what the list says, and no byte more: the size is known before, so no bomb fills the disk. */
function checked({ name, bytes, crc }, path) {
  let sum = 0;
  let seen = 0;
  return new Transform({
    transform(chunk, _encoding, done) {
      seen += chunk.length;
      sum = crc32(chunk, sum);
      done(seen > bytes ? broken(path, `${name} has more than the ${bytes} bytes of its list`) : null, chunk);
    },
    flush(done) {
      done(sum === crc ? null : broken(path, `${name} is damaged: its CRC-32 is not that of its list`));
    },
  });
}

async function readAt(file, position, length) {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}

const needsZip64 = (path) => broken(path, 'it is of the format zip64, which is not read here');

const broken = (path, why) => new SetupFault(`expected a whole zip file in ${path}: ${why}`);
