import { ImagemillError } from '../../../contract/errors.ts';
import { toFloat32 } from './element-types.ts';
import { corrupt, quoted } from './faults.ts';
import { METADATA_KEY, parseHeader } from './safetensors-header.ts';
import { elementCount } from './state-dict.ts';
import type { StateDict, WeightTensor } from './state-dict.ts';

/** Size of the header's length, which comes first: an unsigned little-endian integer. */
const LENGTH_BYTES = 8;

/** The header is padded with spaces to a multiple of this, so that the data is aligned. */
const HEADER_ALIGNMENT = 8;

/** As in the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/**
 * Weights of a safetensors file, as float32, in the order of their data. F32 tensors are views into `bytes` where
 * these are aligned; other dtypes are converted, one copy each. Blocks the event loop for about as long as copying the
 * tensors that are not F32 takes.
 *
 * @param where names the file in errors
 * @throws ImagemillError MODEL_CORRUPT
 */
export function readSafetensors(
  bytes: Uint8Array,
  where: string,
): { tensors: StateDict; metadata: Record<string, string> } {
  if (bytes.byteLength < LENGTH_BYTES) {
    throw corrupt(
      where,
      `expected a safetensors file of at least ${LENGTH_BYTES} bytes, got ${bytes.byteLength}`,
    );
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  const available = bytes.byteLength - LENGTH_BYTES;
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw corrupt(where, `expected a safetensors header of at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  }
  if (length > BigInt(available)) {
    throw corrupt(
      where,
      `expected a safetensors header of ${length} bytes, but only ${available} bytes follow`,
    );
  }
  const dataStart = LENGTH_BYTES + Number(length);
  const data = bytes.subarray(dataStart);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), data.byteLength, where);
  const tensors = new Map<string, WeightTensor>();
  for (const { name, type, shape, begin, end } of header.entries) {
    tensors.set(name, { shape, data: toFloat32(data.subarray(begin, end), type, true) });
  }
  return { tensors, metadata: header.metadata };
}

/**
 * The safetensors file of these weights (all F32), byte for byte as the reference implementation writes it: tensors
 * sorted by dtype, then by name in UTF-8 order. Metadata is sorted by key, where the reference leaves the order to
 * chance.
 *
 * @throws ImagemillError INTERNAL when a shape and its data disagree; MODEL_CORRUPT when a name cannot be written
 */
export function writeSafetensors(tensors: StateDict, metadata?: Record<string, string>): Uint8Array {
  const sorted = [...tensors].sort(([a], [b]) => compareUtf8(a, b));
  const fields: string[] = [];
  if (metadata !== undefined) fields.push(`"${METADATA_KEY}":${metadataJson(metadata)}`);
  let offset = 0;
  for (const [name, tensor] of sorted) {
    checkWritable(name, tensor);
    const end = offset + tensor.data.byteLength;
    const info = { dtype: 'F32', shape: tensor.shape, data_offsets: [offset, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    offset = end;
  }
  const json = Buffer.from(`{${fields.join(',')}}`, 'utf8');
  const headerBytes = Math.ceil(json.byteLength / HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new ImagemillError(
      'INTERNAL',
      `expected a safetensors header of at most ${MAX_HEADER_BYTES} bytes, got ${headerBytes}`,
    );
  }
  const file = new Uint8Array(LENGTH_BYTES + headerBytes + offset);
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes).set(json, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const [, { data }] of sorted) {
    writeLittleEndian(file, at, data);
    at += data.byteLength;
  }
  return file;
}

function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
}

function metadataJson(metadata: Record<string, string>): string {
  const fields = Object.entries(metadata).sort(([a], [b]) => compareUtf8(a, b));
  for (const text of fields.flat()) checkText(text);
  // Joined by hand: an object would move keys that look like integers to the front.
  return `{${fields.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`).join(',')}}`;
}

function checkWritable(name: string, tensor: WeightTensor): void {
  checkText(name);
  if (name === METADATA_KEY) {
    throw new ImagemillError(
      'MODEL_CORRUPT',
      `safetensors cannot hold a tensor with the name ${METADATA_KEY}`,
    );
  }
  if (elementCount(tensor.shape) !== tensor.data.length) {
    throw new ImagemillError(
      'INTERNAL',
      `expected ${tensor.shape.join(' × ')} elements in tensor ${quoted(name)}, got ${tensor.data.length}`,
    );
  }
}

function checkText(text: string): void {
  if (/\p{Surrogate}/u.test(text)) {
    throw new ImagemillError(
      'MODEL_CORRUPT',
      `safetensors cannot hold ${quoted(text)}, which is not valid Unicode`,
    );
  }
}

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function writeLittleEndian(file: Uint8Array, at: number, data: Float32Array): void {
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
  if (!HOST_IS_LITTLE_ENDIAN) Buffer.from(file.buffer, at, data.byteLength).swap32();
}
