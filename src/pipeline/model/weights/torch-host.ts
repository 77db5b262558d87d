/**
 * The allow-list: the only globals that a pickle of weights may name, and what calling them makes. Each is a
 * description within this process; nothing is imported or executed. Signatures as in PyTorch's torch/_utils.py and
 * torch/_weights_only_unpickler.py.
 */
import { ImagemillError } from '../../../contract/errors.ts';
import { corrupt, quoted } from './faults.ts';
import { ELEMENT_TYPES } from './element-types.ts';
import type { ElementTypeName } from './element-types.ts';
import { PickleObject, PickleTuple, typeName } from './pickle-values.ts';
import type { PickleDict, PickleHost, PickleValue } from './pickle-values.ts';
import { isSize, MAX_TENSOR_RANK } from './state-dict.ts';
import { TorchStorage, TorchTensor } from './torch-objects.ts';

type Call = (args: readonly PickleValue[], where: string) => PickleValue;

/** An allowed global. `makes` is what calling it gives; `type` the element type that it stands for. */
class TorchGlobal extends PickleObject {
  readonly typeName: string;
  readonly makes: Call | undefined;
  readonly type: ElementTypeName | undefined;

  constructor(name: string, { makes, type }: { makes?: Call; type?: ElementTypeName }) {
    super();
    this.typeName = name;
    this.makes = makes;
    this.type = type;
  }
}

const STORAGE_TYPES: readonly (readonly [name: string, type: ElementTypeName])[] = [
  ['FloatStorage', 'F32'],
  ['HalfStorage', 'F16'],
  ['BFloat16Storage', 'BF16'],
  ['DoubleStorage', 'F64'],
  ['CharStorage', 'I8'],
  ['ShortStorage', 'I16'],
  ['IntStorage', 'I32'],
  ['LongStorage', 'I64'],
  ['ByteStorage', 'U8'],
  ['BoolStorage', 'BOOL'],
  ['ComplexFloatStorage', 'C64'],
  ['ComplexDoubleStorage', 'C128'],
];

const DTYPES: readonly (readonly [name: string, type: ElementTypeName])[] = [
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float64', 'F64'],
  ['int8', 'I8'],
  ['int16', 'I16'],
  ['int32', 'I32'],
  ['int64', 'I64'],
  ['uint8', 'U8'],
  ['uint16', 'U16'],
  ['uint32', 'U32'],
  ['uint64', 'U64'],
  ['bool', 'BOOL'],
  ['complex64', 'C64'],
  ['complex128', 'C128'],
];

const ALLOWED: ReadonlyMap<string, TorchGlobal> = new Map(
  [
    new TorchGlobal('collections.OrderedDict', { makes: makeOrderedDict }),
    new TorchGlobal('torch._utils._rebuild_tensor', { makes: rebuildTensor }),
    new TorchGlobal('torch._utils._rebuild_tensor_v2', { makes: rebuildTensor }),
    new TorchGlobal('torch._utils._rebuild_tensor_v3', { makes: rebuildTypedTensor }),
    new TorchGlobal('torch._utils._rebuild_parameter', { makes: rebuildParameter }),
    new TorchGlobal('torch._utils._rebuild_parameter_with_state', { makes: rebuildParameter }),
    // Files from before PyTorch 0.4, torchvision's first AlexNet among them.
    new TorchGlobal('torch.nn.parameter.Parameter', { makes: rebuildParameter }),
    new TorchGlobal('torch.Size', { makes: makeSize }),
    new TorchGlobal('torch.device', { makes: makeDevice }),
    ...STORAGE_TYPES.flatMap(([name, type]) => [
      new TorchGlobal(`torch.${name}`, { type }),
      new TorchGlobal(`torch.cuda.${name}`, { type }),
    ]),
    // Bytes without a type, as 'U8'.
    new TorchGlobal('torch.UntypedStorage', { type: 'U8' }),
    new TorchGlobal('torch.storage.UntypedStorage', { type: 'U8' }),
    new TorchGlobal('torch.storage._UntypedStorage', { type: 'U8' }),
    new TorchGlobal('torch.storage.TypedStorage', {}),
    ...DTYPES.map(([name, type]) => new TorchGlobal(`torch.${name}`, { type })),
  ].map((global) => [global.typeName, global]),
);

const PLAIN_NAME = /^[A-Za-z_][\w.]{0,200}$/;

/** Items of dicts made from lists: a list may be used again and again, and every dict of it is a copy. */
const MAX_LISTED_ITEMS = 1_000_000;
/** `cuda:0`; a device made of devices would double in length with every call. */
const MAX_DEVICE_LENGTH = 64;

/** Builds the storages and tensors of one file. */
export class TorchHost implements PickleHost {
  /** By key, in the order in which they were met. */
  readonly storages = new Map<string, TorchStorage>();
  readonly #where: string;
  #listedItems = 0;

  constructor(where: string) {
    this.#where = where;
  }

  resolveGlobal(module: string, name: string): PickleObject {
    const path = `${module}.${name}`;
    const global = ALLOWED.get(path);
    // Exactly as listed: `torch` + `_utils._rebuild_tensor` would be another attribute path in Python.
    if (global !== undefined && !name.includes('.')) return global;
    throw new ImagemillError(
      'MODEL_UNSAFE',
      `${this.#where}: expected tensors, dicts, lists, numbers and strings only, got a reference to ` +
        `${PLAIN_NAME.test(path) ? path : quoted(path)}, which is never imported or executed ` +
        '(of a whole model or trainer, save its state_dict() alone)',
    );
  }

  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue {
    if (callee instanceof TorchGlobal && callee.makes !== undefined) {
      const [first] = args;
      if (callee.makes === makeOrderedDict && Array.isArray(first)) this.#chargeItems(first.length);
      return callee.makes(args, this.#where);
    }
    throw new ImagemillError(
      'MODEL_UNSAFE',
      `${this.#where}: expected a call that makes a tensor or a dict, got a call of ${typeName(callee)}, ` +
        'which is never executed',
    );
  }

  /** `('storage', type, key, location, length)`; legacy files add None or `(view key, offset, view length)`. */
  loadPersistent(id: PickleValue): PickleValue {
    const [tag, global, key, , length, view = null] = id instanceof PickleTuple ? id.items : [];
    const type = global instanceof TorchGlobal ? global.type : undefined;
    if (tag !== 'storage' || type === undefined || typeof key !== 'string' || !isByteSized(length, type)) {
      throw corrupt(this.#where, 'expected a persistent id that describes a storage');
    }
    const root = this.#storage(key, type, length);
    if (view === null) return root;
    const [, offset, viewLength] = view instanceof PickleTuple ? view.items : [];
    if (!isByteSized(offset, type) || !isByteSized(viewLength, type) || offset + viewLength > length) {
      throw corrupt(this.#where, `expected a view of storage ${quoted(key)} to lie within it`);
    }
    return new TorchStorage(key, type, viewLength, { storage: root, offset });
  }

  #chargeItems(count: number): void {
    this.#listedItems += count;
    if (this.#listedItems <= MAX_LISTED_ITEMS) return;
    throw corrupt(this.#where, `expected dicts made of at most ${MAX_LISTED_ITEMS} listed items in all`);
  }

  #storage(key: string, type: ElementTypeName, length: number): TorchStorage {
    const known = this.storages.get(key);
    if (known?.type === type && known.length === length) return known;
    if (known !== undefined) {
      throw corrupt(this.#where, `expected storage ${quoted(key)} to have one type and one size`);
    }
    const storage = new TorchStorage(key, type, length);
    this.storages.set(key, storage);
    return storage;
  }
}

/** Whether a value is a number of elements whose size in bytes is exact. */
function isByteSized(value: PickleValue | undefined, type: ElementTypeName): value is number {
  return typeof value === 'number' && isSize(value) && isSize(value * ELEMENT_TYPES[type].bytes);
}

/** `OrderedDict()`, or from Python 2 `OrderedDict([[key, value], …])`. */
function makeOrderedDict(args: readonly PickleValue[], where: string): PickleDict {
  const [pairs = []] = args;
  if (!Array.isArray(pairs))
    throw corrupt(where, `expected a list of items for a dict, got ${typeName(pairs)}`);
  return new Map(
    pairs.map((pair): [PickleValue, PickleValue] => {
      const [key, value] = pair instanceof PickleTuple ? pair.items : Array.isArray(pair) ? pair : [];
      if (key !== undefined && value !== undefined) return [key, value];
      throw corrupt(where, `expected the items of a dict to be pairs, got ${typeName(pair)}`);
    }),
  );
}

function makeSize([sizes]: readonly PickleValue[]): PickleTuple {
  if (sizes instanceof PickleTuple) return sizes;
  return new PickleTuple(Array.isArray(sizes) ? sizes : []);
}

/** `device('cuda', 0)` as `cuda:0`: where a tensor was does not matter here. */
function makeDevice(args: readonly PickleValue[], where: string): string {
  const parts = args.slice(0, 2).filter((part) => typeof part === 'string' || typeof part === 'number');
  if (parts.every((part) => String(part).length <= MAX_DEVICE_LENGTH)) return parts.join(':');
  throw corrupt(where, `expected names of devices of at most ${MAX_DEVICE_LENGTH} characters`);
}

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks, metadata=None)` */
function rebuildTensor(args: readonly PickleValue[], where: string): TorchTensor {
  const [storage, offset, size, stride, , , metadata] = args;
  return makeTensor({ storage, offset, size, stride, metadata }, undefined, where);
}

/** `_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None)` */
function rebuildTypedTensor(args: readonly PickleValue[], where: string): TorchTensor {
  const [storage, offset, size, stride, , , dtype, metadata] = args;
  const type = dtype instanceof TorchGlobal ? dtype.type : undefined;
  if (type === undefined) throw corrupt(where, 'expected a tensor to have a dtype');
  return makeTensor({ storage, offset, size, stride, metadata }, type, where);
}

type TensorArguments = Record<'storage' | 'offset' | 'size' | 'stride' | 'metadata', PickleValue | undefined>;

function makeTensor(
  { storage, offset, size, stride, metadata }: TensorArguments,
  type: ElementTypeName | undefined,
  where: string,
): TorchTensor {
  const shape = numbers(size);
  const steps = numbers(stride);
  if (!(storage instanceof TorchStorage) || typeof offset !== 'number' || shape === null || steps === null) {
    throw corrupt(
      where,
      `expected a tensor to have a storage, an offset, and a valid shape and stride of at most ${MAX_TENSOR_RANK} axes`,
    );
  }
  // Bits that say "negated" or "conjugated" change the values without changing the bytes.
  if (metadata instanceof Map && metadata.size > 0) {
    throw corrupt(where, 'expected plain tensors, got one with lazy negation or conjugation');
  }
  return new TorchTensor(storage, type ?? storage.type, offset, shape, steps);
}

/** A copy, which is why it has to be short: the pickle may use one long tuple for any number of tensors. */
function numbers(value: PickleValue | undefined): number[] | null {
  if (!(value instanceof PickleTuple) || value.items.length > MAX_TENSOR_RANK) return null;
  return value.items.every((item) => typeof item === 'number') ? [...value.items] : null;
}

/** `_rebuild_parameter(data, requires_grad, backward_hooks, …)` and `Parameter(data, …)`: the tensor itself. */
function rebuildParameter([tensor]: readonly PickleValue[], where: string): TorchTensor {
  if (tensor instanceof TorchTensor) return tensor;
  throw corrupt(where, `expected a parameter to hold a tensor, got ${typeName(tensor ?? null)}`);
}
