// What shared libraries export and import, read from ELF files: before a library is loaded, whose way of saying that
// something is missing may be to take the process down.
import { open } from 'node:fs/promises';
import { SetupFault } from './fault.mjs';

const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const SHT_DYNSYM = 11;
/** libtensorflow_cc has 70 MB of names. */
const LARGEST_TABLE_BYTES = 1024 * 1024 * 1024;
const MACHINES = { x64: 62, arm64: 183 };

/**
 * Checks that every symbol of TensorFlow's C interface that the binding imports is exported by the libraries.
 * @param {string} binding path
 * @param {string[]} libraries paths
 * @throws {SetupFault} with those that are missing
 */
export async function checkSymbols(binding, libraries) {
  const { imported } = await readSymbols(binding);
  if (imported.size === 0) throw new SetupFault(`expected imports of TF_… in ${binding}, got none`);
  const missing = new Set(imported);
  for (const library of libraries) {
    const { exported } = await readSymbols(library);
    for (const name of exported) missing.delete(name);
  }
  if (missing.size > 0) {
    throw new SetupFault(
      `expected ${libraries.join(' and ')} to export what the binding imports; missing: ${[...missing].sort().join(', ')}`,
    );
  }
}

/**
 * The symbols that begin with TF_ or TFE_.
 * @param {string} path of a 64-bit little-endian ELF file of this machine's architecture
 * @returns {Promise<{ exported: Set<string>, imported: Set<string> }>}
 */
export async function readSymbols(path) {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const header = await readRange(file, path, size, 0, SECTION_BYTES);
    if (header.toString('latin1', 0, 6) !== '\u007fELF\u0002\u0001') {
      throw broken(path, 'it is no 64-bit little-endian ELF file');
    }
    const machine = header.readUInt16LE(18);
    if (machine !== MACHINES[process.arch]) {
      throw broken(path, `it is for machine ${machine} of ELF's list, this one is ${process.arch}`);
    }
    const sectionCount = header.readUInt16LE(60);
    const sectionsAt = Number(header.readBigUInt64LE(40));
    const sections = await readRange(file, path, size, sectionsAt, sectionCount * SECTION_BYTES);
    const table = findSection(sections, (section) => section.type === SHT_DYNSYM);
    if (table === undefined) throw broken(path, 'it has no table of symbols');
    const names = sectionAt(sections, table.link);
    return collect(
      await readRange(file, path, size, table.offset, table.bytes),
      await readRange(file, path, size, names.offset, names.bytes),
    );
  } finally {
    await file.close();
  }
}

function findSection(sections, wanted) {
  for (let index = 0; index < sections.length / SECTION_BYTES; index++) {
    const section = sectionAt(sections, index);
    if (wanted(section)) return section;
  }
  return undefined;
}

function sectionAt(sections, index) {
  const at = index * SECTION_BYTES;
  if (at + SECTION_BYTES > sections.length) return { type: 0, offset: 0, bytes: 0, link: 0 };
  return {
    type: sections.readUInt32LE(at + 4),
    offset: Number(sections.readBigUInt64LE(at + 24)),
    bytes: Number(sections.readBigUInt64LE(at + 32)),
    link: sections.readUInt32LE(at + 40),
  };
}

function collect(symbols, names) {
  const exported = new Set();
  const imported = new Set();
  for (let at = 0; at + SYMBOL_BYTES <= symbols.length; at += SYMBOL_BYTES) {
    const nameAt = symbols.readUInt32LE(at);
    // Of hundreds of thousands most are C++: they begin with _Z.
    if (names[nameAt] !== 0x54 || names[nameAt + 1] !== 0x46) continue;
    const name = names.toString('latin1', nameAt, names.indexOf(0, nameAt));
    if (!/^TFE?_/.test(name)) continue;
    const isDefined = symbols.readUInt16LE(at + 6) !== 0;
    (isDefined ? exported : imported).add(name);
  }
  return { exported, imported };
}

async function readRange(file, path, size, position, length) {
  if (position + length > size || length > LARGEST_TABLE_BYTES) {
    throw broken(path, `it ends at byte ${size}, and says that it has something up to ${position + length}`);
  }
  const buffer = Buffer.alloc(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(buffer, read, length - read, position + read);
    if (bytesRead === 0) throw broken(path, 'it ended while it was read');
    read += bytesRead;
  }
  return buffer;
}

const broken = (path, why) => new SetupFault(`expected a shared library in ${path}: ${why}`);
