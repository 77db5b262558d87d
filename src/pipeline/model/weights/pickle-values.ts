/** What a pickle of weights can hold. Python's list is an array, its dict a Map, its int a bigint beyond 2^53. */
export type PickleValue =
  null | boolean | number | bigint | string | PickleTuple | PickleList | PickleDict | PickleObject;

export type PickleList = PickleValue[];
export type PickleDict = Map<PickleValue, PickleValue>;

export class PickleTuple {
  readonly items: readonly PickleValue[];

  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** Anything the pickle names or makes through the allow-list: a global, a storage, a tensor. */
export abstract class PickleObject {
  /** The Python name, for messages. */
  abstract readonly typeName: string;
}

/** What a pickle gets from its surroundings. Nothing else can come into being. */
export interface PickleHost {
  /** The object that a global stands for; refuses what is not on the allow-list. */
  resolveGlobal(module: string, name: string): PickleObject;
  /** `callee(*args)`; refuses what is not callable. */
  call(callee: PickleValue, args: readonly PickleValue[]): PickleValue;
  /** The storage of a persistent id. */
  loadPersistent(id: PickleValue): PickleValue;
}

/** The Python type's name of a value, for messages. */
export function typeName(value: PickleValue): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (typeof value === 'string') return 'str';
  if (value instanceof PickleTuple) return 'tuple';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Map) return 'dict';
  return value.typeName;
}
