import { readFields, type ProtoField } from './protobuf.ts';

/** Which fields of a message lead to a tensor, and through what. */
type Paths = Readonly<Record<number, MessageKind>>;
type MessageKind = keyof typeof MESSAGES;

const MESSAGES = {
  model: { 7: 'graph', 20: 'trainingInfo', 25: 'function' },
  trainingInfo: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparseTensor' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparseTensor', 23: 'sparseTensor' },
  sparseTensor: { 1: 'tensor', 2: 'tensor' },
  tensor: {},
} as const satisfies Record<string, Readonly<Record<number, string>>>;

const TENSOR_FIELD = { name: 8, dataLocation: 14 } as const;
/** Messages in messages; graphs of real models hold others (branches, loops) a few deep. */
const DEPTH_MAX = 64;

/**
 * Looks for tensors whose bytes are in another file, however deep they are in branches, loops and functions: the engine
 * would read that file where it runs, and what the model makes of it would be in the results.
 * @returns the name of the first; null where there is none
 * @throws RangeError where messages are in messages without end
 * @throws ProtobufError where one is damaged
 */
export function findExternalTensor(model: readonly ProtoField[]): string | null {
  return find('model', model, 0);
}

function find(kind: MessageKind, fields: readonly ProtoField[], depth: number): string | null {
  if (depth > DEPTH_MAX) throw new RangeError(`more than ${DEPTH_MAX} messages within each other`);
  if (kind === 'tensor') return externalName(fields);
  const paths: Paths = MESSAGES[kind];
  for (const { field, bytes } of fields) {
    // A field that should stand once is put together from all its occurrences: each counts.
    const inner = paths[field];
    const name = inner === undefined ? null : find(inner, readFields(bytes), depth + 1);
    if (name !== null) return name;
  }
  return null;
}

function externalName(fields: readonly ProtoField[]): string | null {
  // Anything but 0, since readers cut an impossible value to the bits that are left of it.
  if (!fields.some(({ field, int }) => field === TENSOR_FIELD.dataLocation && int !== 0)) return null;
  const name = fields.findLast(({ field }) => field === TENSOR_FIELD.name);
  return name === undefined ? '' : new TextDecoder().decode(name.bytes);
}
