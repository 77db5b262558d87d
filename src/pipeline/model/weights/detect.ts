import type { MODEL_FORMATS } from '../../../contract/model-card.ts';
import { findPickleMember } from './pytorch.ts';
import { MAX_HEADER_BYTES } from './safetensors.ts';
import { readZipDirectory, startsAsZip } from './zip.ts';

export type ModelFormat = (typeof MODEL_FORMATS)[number];

const FORMAT_OF_EXTENSION: ReadonlyMap<string, ModelFormat> = new Map([
  ['safetensors', 'safetensors'],
  ['pth', 'pytorch'],
  ['pt', 'pytorch'],
  ['ckpt', 'pytorch'],
  ['onnx', 'onnx'],
]);

/**
 * The format of a model file: by its content, else by the extension of its name, else null. A whole file is best;
 * the first kilobyte is enough for what PyTorch, safetensors and ONNX write themselves.
 */
export function detectModelFormat(bytes: Uint8Array, name: string): ModelFormat | null {
  if (isSafetensors(bytes)) return 'safetensors';
  if (isPyTorchArchive(bytes) || isLegacyPyTorch(bytes)) return 'pytorch';
  if (isOnnx(bytes)) return 'onnx';
  const extension = /\.([^./\\]+)$/.exec(name)?.[1];
  return FORMAT_OF_EXTENSION.get(extension?.toLowerCase() ?? '') ?? null;
}

/** A plausible length of a header, and the header's opening brace. */
function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 10 || bytes[8] !== 0x7b) return false;
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  return length >= 2n && length <= BigInt(MAX_HEADER_BYTES);
}

const LOCAL_NAME_AT = 30;

function isPyTorchArchive(bytes: Uint8Array): boolean {
  if (!startsAsZip(bytes)) return false;
  // PyTorch writes the pickle first, so the start of a file, or a truncated one, tells too.
  const firstName = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(
    LOCAL_NAME_AT,
    0x400,
  );
  if (/^[^/]+\/data\.pkl/.test(firstName.toString('latin1'))) return true;
  try {
    return findPickleMember(readZipDirectory(bytes, 'model'), 'model') !== null;
  } catch {
    return false;
  }
}

/** `LONG1`, 10 bytes, and the magic number 0x1950a86a20f9469cfc6c in little-endian order. */
const LEGACY_MAGIC_OPCODE = Buffer.from('8a0a6cfc9c46f9206aa85019', 'hex');

/** Before the magic number come PROTO (2 bytes) and, from pickle protocol 4, FRAME (9 bytes). */
const LEGACY_MAGIC_STARTS: readonly number[] = [2, 11];

function isLegacyPyTorch(bytes: Uint8Array): boolean {
  return (
    bytes[0] === 0x80 &&
    LEGACY_MAGIC_STARTS.some((start) =>
      LEGACY_MAGIC_OPCODE.equals(bytes.subarray(start, start + LEGACY_MAGIC_OPCODE.byteLength)),
    )
  );
}

/**
 * Tags that can follow `ir_version` in a ModelProto (onnx.proto): producer_name, producer_version, domain,
 * model_version, doc_string, graph, opset_import, metadata_props, training_info, functions.
 */
const ONNX_SECOND_TAGS: ReadonlySet<number> = new Set([
  0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72, 0xa2, 0xca,
]);

/** Field 1 (`ir_version`), a varint of one byte, comes first in what every serialiser writes. */
function isOnnx(bytes: Uint8Array): boolean {
  const [tag, version = 0, nextTag = 0] = bytes;
  return tag === 0x08 && version > 0 && version < 0x80 && ONNX_SECOND_TAGS.has(nextTag);
}
