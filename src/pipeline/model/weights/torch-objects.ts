import type { ImagemillError } from '../../../contract/errors.ts';
import { ELEMENT_TYPES, isReal, toFloat32 } from './element-types.ts';
import type { ElementTypeName } from './element-types.ts';
import { corrupt, quoted } from './faults.ts';
import { PickleObject } from './pickle-values.ts';
import { elementCount, isSize } from './state-dict.ts';
import type { WeightTensor } from './state-dict.ts';

/** A run of elements that tensors share: bytes of the file, which a legacy file gives after its pickle. */
export class TorchStorage extends PickleObject {
  readonly typeName = 'storage';
  readonly key: string;
  readonly type: ElementTypeName;
  /** Number of elements. */
  readonly length: number;
  readonly #viewOf: { readonly storage: TorchStorage; readonly offset: number } | undefined;
  #bytes: Uint8Array | undefined;
  /** Finds exactly the elements in the file; called when they are first needed. */
  locate: (() => Uint8Array) | undefined;

  /** @param viewOf the storage that this one is a part of, and where in it, in elements */
  constructor(
    key: string,
    type: ElementTypeName,
    length: number,
    viewOf?: { readonly storage: TorchStorage; readonly offset: number },
  ) {
    super();
    this.key = key;
    this.type = type;
    this.length = length;
    this.#viewOf = viewOf;
  }

  get byteLength(): number {
    return this.length * ELEMENT_TYPES[this.type].bytes;
  }

  /** Exactly the elements; undefined where the file does not have them. */
  get bytes(): Uint8Array | undefined {
    if (this.#viewOf === undefined) return (this.#bytes ??= this.locate?.());
    const start = this.#viewOf.offset * ELEMENT_TYPES[this.type].bytes;
    return this.#viewOf.storage.bytes?.subarray(start, start + this.byteLength);
  }
}

/** A strided view of a storage, not checked yet: offset, shape and stride are in elements, as the pickle has them. */
export class TorchTensor extends PickleObject {
  readonly typeName = 'Tensor';
  readonly storage: TorchStorage;
  readonly type: ElementTypeName;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];

  constructor(
    storage: TorchStorage,
    type: ElementTypeName,
    offset: number,
    shape: readonly number[],
    stride: readonly number[],
  ) {
    super();
    this.storage = storage;
    this.type = type;
    this.offset = offset;
    this.shape = shape;
    this.stride = stride;
  }
}

/**
 * Copies of tensors may take this many times the file's size, plus {@link COPY_ALLOWANCE_BYTES}: enough for float16
 * in shared storages, too little for a few bytes that a stride of 0 repeats without end.
 */
const COPY_FACTOR = 8;
const COPY_ALLOWANCE_BYTES = 16 << 20;

/** Makes float32 weights of the tensors of one file; views of the file where these are float32, aligned and contiguous. */
export class TensorReader {
  readonly #where: string;
  readonly #littleEndian: boolean;
  #copyBudget: number;

  constructor(fileBytes: number, littleEndian: boolean, where: string) {
    this.#copyBudget = fileBytes * COPY_FACTOR + COPY_ALLOWANCE_BYTES;
    this.#littleEndian = littleEndian;
    this.#where = where;
  }

  /** @throws ImagemillError MODEL_CORRUPT when the tensor does not lie within its storage, or has complex numbers */
  read(name: string, tensor: TorchTensor): WeightTensor {
    const { type, shape, stride, offset, storage } = tensor;
    if (!isReal(type)) {
      throw this.#fault(name, `to convert to float32, got ${type === 'C64' ? 'complex64' : 'complex128'}`);
    }
    const count = elementCount(shape);
    if (count === null || stride.length !== shape.length || ![offset, ...stride].every(isSize)) {
      throw this.#fault(name, 'to have a valid offset, shape and stride');
    }
    if (count === 0) return { shape, data: new Float32Array(0) };
    const stored = storage.bytes;
    if (stored === undefined)
      throw this.#fault(name, `to have its storage ${quoted(storage.key)} in the file`);
    const elementBytes = ELEMENT_TYPES[type].bytes;
    const last = shape.reduce((sum, size, axis) => sum + (size - 1) * (stride[axis] ?? 0), offset);
    if (!isSize(last) || (last + 1) * elementBytes > stored.byteLength) {
      throw this.#fault(name, `to end within its storage of ${stored.byteLength} bytes`);
    }
    if (isContiguous(shape, stride)) {
      const bytes = stored.subarray(offset * elementBytes, (last + 1) * elementBytes);
      const data = toFloat32(bytes, type, this.#littleEndian);
      if (data.buffer !== bytes.buffer) this.#charge(name, count);
      return { shape, data };
    }
    this.#charge(name, count);
    return { shape, data: this.#gather(stored, tensor, count) };
  }

  /** Element by element, in row-major order: for transposed, sliced and expanded tensors, which are rare in files. */
  #gather(bytes: Uint8Array, { type, shape, stride, offset }: TorchTensor, count: number): Float32Array {
    const { bytes: elementBytes, read } = ELEMENT_TYPES[type];
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const data = new Float32Array(count);
    const rowLength = shape.at(-1) ?? 1;
    const rowStep = (stride.at(-1) ?? 0) * elementBytes;
    const index = shape.slice(0, -1).fill(0);
    let rowStart = offset * elementBytes;
    for (let i = 0; i < count;) {
      for (let at = rowStart, end = i + rowLength; i < end; i++, at += rowStep) {
        data[i] = read?.(view, at, this.#littleEndian) ?? NaN;
      }
      for (let axis = index.length - 1; axis >= 0; axis--) {
        const step = (stride[axis] ?? 0) * elementBytes;
        const next = (index[axis] ?? 0) + 1;
        index[axis] = next < (shape[axis] ?? 0) ? next : 0;
        rowStart += index[axis] === 0 ? -step * (next - 1) : step;
        if (index[axis] !== 0) break;
      }
    }
    return data;
  }

  #charge(name: string, count: number): void {
    this.#copyBudget -= count * Float32Array.BYTES_PER_ELEMENT;
    if (this.#copyBudget < 0) {
      throw this.#fault(
        name,
        `and those before it to take at most ${COPY_FACTOR} times the size of the file`,
      );
    }
  }

  #fault(name: string, sentence: string): ImagemillError {
    return corrupt(this.#where, `expected tensor ${quoted(name)} ${sentence}`);
  }
}

/** Whether elements follow each other in row-major order; the stride of an axis of size 1 does not matter. */
function isContiguous(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 0;
    if (size !== 1 && stride[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}
