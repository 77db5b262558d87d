/**
 * State dicts of PyTorch's two file formats (torch/serialization.py): the zip archive of PyTorch ≥ 1.6 and the legacy
 * sequence of pickles before it. The pickles are read, never executed.
 */
import { ImagemillError } from '../../../contract/errors.ts';
import { ByteCursor } from './byte-cursor.ts';
import { corrupt, quoted } from './faults.ts';
import { findStateDict } from './find-state-dict.ts';
import { readPickle } from './pickle.ts';
import type { PickleValue } from './pickle-values.ts';
import type { StateDict, WeightTensor } from './state-dict.ts';
import { TorchHost } from './torch-host.ts';
import { TensorReader } from './torch-objects.ts';
import type { TorchStorage } from './torch-objects.ts';
import { memberBytes, readZipDirectory, startsAsZip } from './zip.ts';
import type { ZipDirectory } from './zip.ts';

/** First pickle of a legacy file. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;

/** Second pickle of a legacy file. */
const LEGACY_PROTOCOL = 1001;

/** The opcode PROTO, with which every pickle since protocol 2 starts. */
const PICKLE_START = 0x80;

const PICKLE_MEMBER = /^[^/]+\/data\.pkl$/;

/**
 * Weights of a `.pth` or `.pt` file as float32: a state dict, or the one in a checkpoint (see `findStateDict`). float32
 * tensors are views into `bytes` where these are aligned and the tensor is contiguous, as in zip archives; all else is
 * one copy. Blocks the event loop for about as long as copying and checksumming takes: 0.3 to 1 s for 244 MB on two busy cores.
 *
 * @param where names the file in errors
 * @throws ImagemillError MODEL_CORRUPT; MODEL_UNSAFE when the pickle names anything but tensors;
 *   MODEL_FORMAT_UNKNOWN for TorchScript archives
 */
export function readPyTorch(bytes: Uint8Array, where: string): StateDict {
  return startsAsZip(bytes) ? readArchive(bytes, where) : readLegacy(bytes, where);
}

/** The member of a PyTorch archive that holds its pickle, or null when the archive is something else. */
export function findPickleMember(directory: ZipDirectory, where: string): string | null {
  const [name, ...others] = [...directory.keys()].filter((member) => PICKLE_MEMBER.test(member));
  if (others.length > 0)
    throw corrupt(where, `expected one data.pkl in the archive, got ${others.length + 1}`);
  return name ?? null;
}

function readArchive(bytes: Uint8Array, where: string): StateDict {
  const directory = readZipDirectory(bytes, where);
  const pickleName = findPickleMember(directory, where);
  if (pickleName === null) throw corrupt(where, 'expected a PyTorch archive with a data.pkl');
  const prefix = pickleName.slice(0, -'data.pkl'.length);
  refuseTorchScript(directory, prefix, where);

  let unread = bytes.byteLength;
  const read = (name: string): Uint8Array => {
    const member = directory.get(prefix + name);
    if (member === undefined) throw corrupt(where, `expected ${quoted(prefix + name)} in the archive`);
    // Each member is read once: more than the file in all means members that overlap, to keep a reader busy.
    unread -= member.size;
    if (unread < 0) throw corrupt(where, 'expected the members of the archive not to overlap');
    return memberBytes(bytes, member, where);
  };
  const host = new TorchHost(where);
  const { value } = readPickle(read('data.pkl'), 0, host, where);
  for (const storage of host.storages.values()) {
    storage.locate = () => exactly(read(`data/${storage.key}`), storage, where);
  }
  const byteOrder = directory.has(`${prefix}byteorder`)
    ? new TextDecoder().decode(read('byteorder'))
    : 'little';
  if (byteOrder !== 'little' && byteOrder !== 'big') {
    throw corrupt(where, `expected the byte order little or big, got ${quoted(byteOrder)}`);
  }
  return readTensors(value, new TensorReader(bytes.byteLength, byteOrder === 'little', where), where);
}

function refuseTorchScript(directory: ZipDirectory, prefix: string, where: string): void {
  const isScript = [...directory.keys()].some(
    (name) => name === `${prefix}constants.pkl` || name.startsWith(`${prefix}code/`),
  );
  if (!isScript) return;
  throw new ImagemillError(
    'MODEL_FORMAT_UNKNOWN',
    `${where}: expected a state dict, got a TorchScript program; save its weights with ` +
      'torch.save(torch.jit.load(path).state_dict(), other), or export it to ONNX',
  );
}

function exactly(found: Uint8Array, storage: TorchStorage, where: string): Uint8Array {
  if (found.byteLength === storage.byteLength) return found;
  throw corrupt(
    where,
    `expected storage ${quoted(storage.key)} to have ${storage.byteLength} bytes, got ${found.byteLength}`,
  );
}

/** Magic number, protocol, system information, object, storage keys: five pickles. Then each storage: length, elements. */
function readLegacy(bytes: Uint8Array, where: string): StateDict {
  if (bytes[0] !== PICKLE_START) throw corrupt(where, 'expected a PyTorch file: a zip archive or a pickle');
  const host = new TorchHost(where);
  let position = 0;
  const next = (): PickleValue => {
    const { value, end } = readPickle(bytes, position, host, where);
    position = end;
    return value;
  };
  if (next() !== LEGACY_MAGIC) throw corrupt(where, 'expected the magic number of a PyTorch file');
  if (next() !== LEGACY_PROTOCOL)
    throw corrupt(where, `expected version ${LEGACY_PROTOCOL} of PyTorch's format`);
  next();
  const value = next();
  const keys = next();
  if (!Array.isArray(keys)) throw corrupt(where, 'expected a list of storages after the pickled object');
  const cursor = new ByteCursor(bytes, position, where);
  for (const key of keys) {
    const storage = typeof key === 'string' ? host.storages.get(key) : undefined;
    if (storage === undefined) throw corrupt(where, 'expected data of storages that the pickled object uses');
    const length = cursor.uint64();
    if (length !== storage.length) {
      throw corrupt(
        where,
        `expected storage ${quoted(storage.key)} to have ${storage.length} elements, got ${length}`,
      );
    }
    const elements = cursor.take(storage.byteLength);
    storage.locate = () => elements;
  }
  // Written as little-endian on every machine.
  return readTensors(value, new TensorReader(bytes.byteLength, true, where), where);
}

function readTensors(value: PickleValue, reader: TensorReader, where: string): StateDict {
  const weights = new Map<string, WeightTensor>();
  for (const [name, tensor] of findStateDict(value, where)) weights.set(name, reader.read(name, tensor));
  return weights;
}
