/**
 * Number formats of stored weights and their conversion to float32. Conversions round to nearest even, once;
 * 64-bit integers beyond 2^53 round twice (first to float64).
 */

interface ElementType {
  /** Size of one element in bytes. */
  readonly bytes: number;
  /** One element as a number; null where float32 cannot hold it (complex numbers). */
  readonly read: ((view: DataView, at: number, littleEndian: boolean) => number) | null;
}

export const ELEMENT_TYPES = {
  F32: { bytes: 4, read: (view, at, littleEndian) => view.getFloat32(at, littleEndian) },
  F16: { bytes: 2, read: (view, at, littleEndian) => halfTable()[view.getUint16(at, littleEndian)] ?? NaN },
  BF16: { bytes: 2, read: (view, at, littleEndian) => bfloat16ToNumber(view.getUint16(at, littleEndian)) },
  F64: { bytes: 8, read: (view, at, littleEndian) => view.getFloat64(at, littleEndian) },
  I8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  I16: { bytes: 2, read: (view, at, littleEndian) => view.getInt16(at, littleEndian) },
  I32: { bytes: 4, read: (view, at, littleEndian) => view.getInt32(at, littleEndian) },
  I64: { bytes: 8, read: (view, at, littleEndian) => Number(view.getBigInt64(at, littleEndian)) },
  U8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  U16: { bytes: 2, read: (view, at, littleEndian) => view.getUint16(at, littleEndian) },
  U32: { bytes: 4, read: (view, at, littleEndian) => view.getUint32(at, littleEndian) },
  U64: { bytes: 8, read: (view, at, littleEndian) => Number(view.getBigUint64(at, littleEndian)) },
  BOOL: { bytes: 1, read: (view, at) => (view.getUint8(at) === 0 ? 0 : 1) },
  C64: { bytes: 8, read: null },
  C128: { bytes: 16, read: null },
} as const satisfies Record<string, ElementType>;

export type ElementTypeName = keyof typeof ELEMENT_TYPES;

/** The element types that become float32. */
export type RealElementTypeName = Exclude<ElementTypeName, 'C64' | 'C128'>;

export function isReal(type: ElementTypeName): type is RealElementTypeName {
  return ELEMENT_TYPES[type].read !== null;
}

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Whether a typed array of this element size may lie over these bytes. */
function canView(bytes: Uint8Array, elementBytes: number, littleEndian: boolean): boolean {
  return littleEndian === HOST_IS_LITTLE_ENDIAN && bytes.byteOffset % elementBytes === 0;
}

/**
 * Consecutive elements as float32. F32 in the machine's byte order at an address that is a multiple of 4 is a view
 * of `bytes`; everything else is one new array.
 *
 * @param bytes exactly the elements: a whole multiple of the element size
 */
export function toFloat32(bytes: Uint8Array, type: RealElementTypeName, littleEndian: boolean): Float32Array {
  const { bytes: elementBytes, read } = ELEMENT_TYPES[type];
  const count = bytes.byteLength / elementBytes;
  const viewable = canView(bytes, elementBytes, littleEndian);
  if (type === 'F32' && viewable) return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  if (type === 'F32' && littleEndian === HOST_IS_LITTLE_ENDIAN) {
    const copy = new Float32Array(count);
    new Uint8Array(copy.buffer).set(bytes);
    return copy;
  }
  if (type === 'F64' && viewable) {
    return new Float32Array(new Float64Array(bytes.buffer, bytes.byteOffset, count));
  }
  if (type === 'F16' && viewable) return halvesToFloat32(bytes, count);
  if (type === 'BF16' && viewable) return bfloat16ToFloat32(bytes, count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = read(view, i * elementBytes, littleEndian);
  return out;
}

function halvesToFloat32(bytes: Uint8Array, count: number): Float32Array {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  const table = halfTable();
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = table[halves[i] ?? 0] ?? NaN;
  return out;
}

function bfloat16ToFloat32(bytes: Uint8Array, count: number): Float32Array {
  const upperHalves = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  const out = new Float32Array(count);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < count; i++) bits[i] = (upperHalves[i] ?? 0) << 16;
  return out;
}

const scratch = new DataView(new ArrayBuffer(4));

function bfloat16ToNumber(bits: number): number {
  scratch.setUint16(0, bits, false);
  scratch.setUint16(2, 0, false);
  return scratch.getFloat32(0, false);
}

let halfValues: Float32Array | undefined;

/** The value of each of the 65,536 IEEE 754 binary16 bit patterns; computed on first use (256 KiB). */
function halfTable(): Float32Array {
  if (halfValues !== undefined) return halfValues;
  halfValues = new Float32Array(0x10000);
  for (let bits = 0; bits < 0x10000; bits++) halfValues[bits] = halfToNumber(bits);
  return halfValues;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
