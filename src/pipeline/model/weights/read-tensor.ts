import { ImagemillError } from '../../../contract/errors.ts';
import type { ObjectStore } from '../../../storage/object-store.ts';
import { toFloat32 } from './element-types.ts';
import { corrupt, quoted } from './faults.ts';
import { parseHeader } from './safetensors-header.ts';
import type { WeightTensor } from './state-dict.ts';

const LENGTH_BYTES = 8;
/** Of a header that is read for one tensor; those of our checkpoints take a few kilobytes. */
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** Of the tensor itself. */
const MAX_TENSOR_BYTES = 64 * 1024 * 1024;

export interface ReadTensor {
  /** float32 */
  readonly tensor: WeightTensor;
  /** Of the whole file. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads one tensor of a safetensors object by ranges: its header, and the bytes of the tensor.
 * @throws ImagemillError OBJECT_NOT_FOUND; MODEL_CORRUPT for a damaged header, or without such a tensor; STORE_*
 */
export async function readTensor(
  store: ObjectStore,
  key: string,
  name: string,
  signal: AbortSignal,
): Promise<ReadTensor> {
  const where = store.uriOf(key);
  const found = await store.head(key);
  if (found === null) {
    throw new ImagemillError('OBJECT_NOT_FOUND', `expected a model at ${where}, found none`);
  }
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    // Stores refuse ranges without bytes, and beyond the end.
    if (length === 0) return new Uint8Array(0);
    const bytes =
      offset + length > found.bytes ? null : await store.get(key, { range: { offset, length }, signal });
    if (bytes?.length === length) return bytes;
    throw corrupt(where, `expected ${length} bytes at ${offset}, got the end of the file`);
  };
  const headerBytes = headerLength(await read(0, LENGTH_BYTES), where);
  const dataStart = LENGTH_BYTES + headerBytes;
  const { entries, metadata } = parseHeader(
    await read(LENGTH_BYTES, headerBytes),
    found.bytes - dataStart,
    where,
  );
  const entry = entries.find((entry) => entry.name === name);
  if (entry === undefined) throw corrupt(where, `expected a tensor ${quoted(name)}, got none`);
  const { type, shape, begin, end } = entry;
  if (end - begin > MAX_TENSOR_BYTES) {
    throw corrupt(where, `expected a tensor ${quoted(name)} of at most ${MAX_TENSOR_BYTES} bytes`);
  }
  const data = toFloat32(await read(dataStart + begin, end - begin), type, true);
  return { tensor: { shape, data }, metadata: new Map(Object.entries(metadata)) };
}

function headerLength(bytes: Uint8Array, where: string): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length <= BigInt(MAX_HEADER_BYTES)) return Number(length);
  throw corrupt(where, `expected a safetensors header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
}
