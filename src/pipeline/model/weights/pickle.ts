/**
 * Reads the pickles that PyTorch writes (protocols 2 to 5) without executing anything: globals, calls and persistent
 * ids go to a {@link PickleHost}, which knows an allow-list. Opcodes as in CPython's Lib/pickletools.py.
 * No part of it recurses, so the depth of the data cannot exhaust the call stack.
 */
import { ImagemillError } from '../../../contract/errors.ts';
import { ByteCursor } from './byte-cursor.ts';
import { corrupt } from './faults.ts';
import { PickleObject, PickleTuple, typeName } from './pickle-values.ts';
import type { PickleHost, PickleValue } from './pickle-values.ts';

/** Generous for any state dict: one of 10,000 tensors needs about 600,000 opcodes. */
export const PICKLE_LIMITS = {
  opcodes: 5_000_000,
  memoEntries: 2_000_000,
  /** Open marks: containers within containers. */
  nesting: 1_000,
  /** Values on the stack; Python's pickler sets at most 1,000 items of a container at once. */
  stack: 100_000,
  stringBytes: 1 << 20,
  integerBytes: 255,
} as const;

const HIGHEST_PROTOCOL = 5;
const STOP = 0x2e;

/**
 * The value of the pickle that starts at `start`, and the position after it. Limits: {@link PICKLE_LIMITS}.
 *
 * @param where names the pickle in errors
 * @throws ImagemillError MODEL_CORRUPT, or MODEL_UNSAFE for what is not on the host's allow-list
 */
export function readPickle(
  bytes: Uint8Array,
  start: number,
  host: PickleHost,
  where: string,
): { value: PickleValue; end: number } {
  const machine = new PickleMachine(new ByteCursor(bytes, start, where), host);
  for (let count = 0; count < PICKLE_LIMITS.opcodes; count++) {
    const opcode = machine.cursor.uint8();
    if (opcode === STOP) return { value: machine.pop(), end: machine.cursor.position };
    const handler = HANDLERS.get(opcode);
    if (handler === undefined) throw unsupported(opcode, machine.cursor);
    handler(machine);
  }
  throw corrupt(where, `expected a pickle of at most ${PICKLE_LIMITS.opcodes} opcodes`);
}

/** INST, OBJ, EXT1, EXT2, EXT4, NEWOBJ_EX: they make instances of classes, which weights never need. */
const INSTANCE_OPCODES: ReadonlySet<number> = new Set([0x69, 0x6f, 0x82, 0x83, 0x84, 0x92]);

function unsupported(opcode: number, { where, position }: ByteCursor): ImagemillError {
  const name = `opcode 0x${opcode.toString(16).padStart(2, '0')} at byte ${position - 1}`;
  if (INSTANCE_OPCODES.has(opcode)) {
    return new ImagemillError(
      'MODEL_UNSAFE',
      `${where}: expected a pickle of tensors, got ${name}, which makes an instance of a class and is never executed`,
    );
  }
  return corrupt(where, `expected an opcode that PyTorch writes, got ${name}`);
}

class PickleMachine {
  readonly cursor: ByteCursor;
  readonly host: PickleHost;
  readonly memo = new Map<number, PickleValue>();
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at each open mark; values below the last one are out of reach. */
  readonly #marks: number[] = [];

  constructor(cursor: ByteCursor, host: PickleHost) {
    this.cursor = cursor;
    this.host = host;
  }

  fault(sentence: string): ImagemillError {
    return corrupt(this.cursor.where, `${sentence} before byte ${this.cursor.position} of the pickle`);
  }

  push(value: PickleValue): void {
    if (this.#stack.push(value) > PICKLE_LIMITS.stack) {
      throw this.fault(`expected at most ${PICKLE_LIMITS.stack} values on the stack`);
    }
  }

  pop(): PickleValue {
    const value = this.#stack.length > (this.#marks.at(-1) ?? 0) ? this.#stack.pop() : undefined;
    if (value === undefined) throw this.fault('expected a value on the stack');
    return value;
  }

  top(): PickleValue {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  mark(): void {
    if (this.#marks.push(this.#stack.length) > PICKLE_LIMITS.nesting) {
      throw this.fault(`expected at most ${PICKLE_LIMITS.nesting} nested marks`);
    }
  }

  popToMark(): PickleValue[] {
    const height = this.#marks.pop();
    if (height === undefined) throw this.fault('expected a mark on the stack');
    return this.#stack.splice(height);
  }

  popTuple(length: number): void {
    const start = this.#stack.length - length;
    if (start < (this.#marks.at(-1) ?? 0)) throw this.fault(`expected ${length} values on the stack`);
    this.push(new PickleTuple(this.#stack.splice(start)));
  }

  text(byteLength: number): void {
    if (byteLength > PICKLE_LIMITS.stringBytes) {
      throw this.fault(`expected strings of at most ${PICKLE_LIMITS.stringBytes} bytes, got ${byteLength}`);
    }
    this.push(this.cursor.text(byteLength));
  }

  integer(byteLength: number): void {
    if (byteLength > PICKLE_LIMITS.integerBytes) {
      throw this.fault(`expected integers of at most ${PICKLE_LIMITS.integerBytes} bytes, got ${byteLength}`);
    }
    this.push(this.cursor.integer(byteLength));
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
    if (this.memo.size > PICKLE_LIMITS.memoEntries) {
      throw this.fault(`expected at most ${PICKLE_LIMITS.memoEntries} memo entries`);
    }
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.fault(`expected memo entry ${index} to be set`);
    this.push(value);
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.fault(`expected a list to append to, got ${typeName(list)}`);
    for (const item of items) list.push(item);
  }

  setItems(items: readonly PickleValue[]): void {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.fault(`expected a dict to set items of, got ${typeName(dict)}`);
    for (let i = 0; i < items.length; i += 2) {
      const [key, value] = items.slice(i, i + 2);
      if (key === undefined || value === undefined) throw this.fault('expected a value for each key');
      dict.set(key, value);
    }
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(args instanceof PickleTuple))
      throw this.fault(`expected a tuple of arguments, got ${typeName(args)}`);
    this.push(this.host.call(callee, args.items));
  }

  /** Attributes of dicts (`_metadata`) and tensors (`requires_grad`) are not weights: dropped. */
  build(): void {
    this.pop();
    const target = this.top();
    if (!(target instanceof Map) && !(target instanceof PickleObject)) {
      throw this.fault(`expected an object that takes attributes, got ${typeName(target)}`);
    }
  }

  global(): void {
    const module = this.cursor.line(PICKLE_LIMITS.stringBytes);
    const name = this.cursor.line(PICKLE_LIMITS.stringBytes);
    this.push(this.host.resolveGlobal(module, name));
  }

  stackGlobal(): void {
    const name = this.pop();
    const module = this.pop();
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.fault(`expected the names of a global, got ${typeName(module)} and ${typeName(name)}`);
    }
    this.push(this.host.resolveGlobal(module, name));
  }

  checkProtocol(): void {
    const protocol = this.cursor.uint8();
    if (protocol > HIGHEST_PROTOCOL) {
      throw this.fault(`expected a pickle protocol up to ${HIGHEST_PROTOCOL}, got ${protocol}`);
    }
  }

  checkFrame(): void {
    const length = this.cursor.uint64();
    if (length > this.cursor.remaining) {
      throw this.fault(`expected a frame of ${length} bytes, got ${this.cursor.remaining}`);
    }
  }
}

type Handler = (machine: PickleMachine) => void;

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [0x80, (m) => m.checkProtocol()], // PROTO
  [0x95, (m) => m.checkFrame()], // FRAME
  // Constants and numbers
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.cursor.int32())], // BININT
  [0x4b, (m) => m.push(m.cursor.uint8())], // BININT1
  [0x4d, (m) => m.push(m.cursor.uint16())], // BININT2
  [0x8a, (m) => m.integer(m.cursor.uint8())], // LONG1
  [0x8b, (m) => m.integer(m.cursor.uint32())], // LONG4
  [0x47, (m) => m.push(m.cursor.float64BigEndian())], // BINFLOAT
  // Strings
  [0x8c, (m) => m.text(m.cursor.uint8())], // SHORT_BINUNICODE
  [0x58, (m) => m.text(m.cursor.uint32())], // BINUNICODE
  [0x8d, (m) => m.text(m.cursor.uint64())], // BINUNICODE8
  [0x55, (m) => m.text(m.cursor.uint8())], // SHORT_BINSTRING (Python 2)
  [0x54, (m) => m.text(m.cursor.uint32())], // BINSTRING (Python 2)
  // Containers
  [0x28, (m) => m.mark()], // MARK
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x29, (m) => m.push(new PickleTuple([]))], // EMPTY_TUPLE
  [0x85, (m) => m.popTuple(1)], // TUPLE1
  [0x86, (m) => m.popTuple(2)], // TUPLE2
  [0x87, (m) => m.popTuple(3)], // TUPLE3
  [0x74, (m) => m.push(new PickleTuple(m.popToMark()))], // TUPLE
  [0x61, (m) => m.append([m.pop()])], // APPEND
  [0x65, (m) => m.append(m.popToMark())], // APPENDS
  [0x73, (m) => m.setItems([m.pop(), m.pop()].reverse())], // SETITEM
  [0x75, (m) => m.setItems(m.popToMark())], // SETITEMS
  // Memo
  [0x71, (m) => m.remember(m.cursor.uint8())], // BINPUT
  [0x72, (m) => m.remember(m.cursor.uint32())], // LONG_BINPUT
  [0x94, (m) => m.remember(m.memo.size)], // MEMOIZE
  [0x68, (m) => m.recall(m.cursor.uint8())], // BINGET
  [0x6a, (m) => m.recall(m.cursor.uint32())], // LONG_BINGET
  // Objects: all through the host
  [0x63, (m) => m.global()], // GLOBAL
  [0x93, (m) => m.stackGlobal()], // STACK_GLOBAL
  [0x52, (m) => m.call()], // REDUCE
  [0x81, (m) => m.call()], // NEWOBJ
  [0x62, (m) => m.build()], // BUILD
  [0x51, (m) => m.push(m.host.loadPersistent(m.pop()))], // BINPERSID
]);
