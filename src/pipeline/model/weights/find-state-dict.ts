import { corrupt, quoted } from './faults.ts';
import { typeName } from './pickle-values.ts';
import type { PickleDict, PickleValue } from './pickle-values.ts';
import { TorchTensor } from './torch-objects.ts';

/** Where training scripts keep the model's weights in a checkpoint, in order of preference. */
const CHECKPOINT_KEYS = ['state_dict', 'model_state_dict', 'model', 'module'] as const;

/** A checkpoint within a checkpoint is as deep as it gets. */
const MAX_CHECKPOINT_DEPTH = 3;

/** Left behind by wrappers: DataParallel and DistributedDataParallel (`module.`), Lightning and others (`model.`). */
const WRAPPER_PREFIXES = ['module.', 'model.'] as const;

const LISTED_KEYS = 10;

/**
 * The tensors of the state dict in an unpickled file: the file's dict itself, or the dict at a checkpoint's
 * `state_dict`, `model_state_dict`, `model` or `module`. What is not a tensor with a name is ignored; a wrapper's
 * prefix that all names share is removed.
 *
 * @throws ImagemillError MODEL_CORRUPT when there is none
 */
export function findStateDict(value: PickleValue, where: string): ReadonlyMap<string, TorchTensor> {
  const tensors = value instanceof Map ? tensorsOf(value, MAX_CHECKPOINT_DEPTH) : null;
  if (tensors === null) throw corrupt(where, `expected a state dict, got ${describe(value)}`);
  return withoutWrapperPrefixes(tensors);
}

function tensorsOf(dict: PickleDict, depth: number): Map<string, TorchTensor> | null {
  for (const key of depth > 0 ? CHECKPOINT_KEYS : []) {
    const inner = dict.get(key);
    const found = inner instanceof Map ? tensorsOf(inner, depth - 1) : null;
    if (found !== null) return found;
  }
  const tensors = new Map<string, TorchTensor>();
  for (const [name, value] of dict) {
    if (typeof name === 'string' && value instanceof TorchTensor) tensors.set(name, value);
  }
  return tensors.size > 0 ? tensors : null;
}

/** Removes `module.` and `model.` from the front of the names for as long as every name has it. */
function withoutWrapperPrefixes<T>(named: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  let current = named;
  for (;;) {
    const names = [...current.keys()];
    const prefix = WRAPPER_PREFIXES.find((candidate) =>
      names.every((name) => name.startsWith(candidate) && name.length > candidate.length),
    );
    if (prefix === undefined || names.length === 0) return current;
    current = new Map([...current].map(([name, value]) => [name.slice(prefix.length), value]));
  }
}

function describe(value: PickleValue): string {
  if (!(value instanceof Map)) return `a ${typeName(value)}`;
  if (value.size === 0) return 'an empty dict';
  const keys = [...value.keys()].slice(0, LISTED_KEYS).map((key) => {
    return typeof key === 'string'
      ? quoted(key)
      : typeof key === 'number'
        ? String(key)
        : `a ${typeName(key)}`;
  });
  const rest = value.size > LISTED_KEYS ? ` and ${value.size - LISTED_KEYS} more` : '';
  return `a dict without named tensors, with keys ${keys.join(', ')}${rest}`;
}
