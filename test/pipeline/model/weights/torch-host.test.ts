import { describe, expect, it } from 'vitest';
import type { PickleValue } from '../../../../src/pipeline/model/weights/pickle-values.ts';
import { PickleTuple } from '../../../../src/pipeline/model/weights/pickle-values.ts';
import { TorchHost } from '../../../../src/pipeline/model/weights/torch-host.ts';
import { readPyTorch } from '../../../../src/pipeline/model/weights/pytorch.ts';
import { PICKLE_LIMITS, readPickle } from '../../../../src/pipeline/model/weights/pickle.ts';
import {
  APPEND,
  archive,
  BINGET0,
  BINPUT0,
  BUILD,
  bytes,
  dict,
  EMPTY_DICT,
  EMPTY_LIST,
  EMPTY_TUPLE,
  expectRefusal,
  global,
  int,
  join,
  legacy,
  MARK,
  NEWOBJ,
  NONE,
  pickled,
  REDUCE,
  SETITEM,
  STACK_GLOBAL,
  STOP,
  tensor,
  text,
  tuple,
  TUPLE1,
  TUPLE2,
} from './support.ts';
const read = (...parts: Uint8Array[]): PickleValue =>
  readPickle(pickled(...parts), 0, new TorchHost('p'), 'p').value;

describe('malicious pickles', () => {
  const command = text('touch /tmp/owned');
  const call = (module: string, name: string, ...args: Uint8Array[]): Buffer =>
    join(global(module, name), tuple(...args), REDUCE);
  const getattr = (object: Uint8Array, name: string): Buffer =>
    call('builtins', 'getattr', object, text(name));

  it.each<[string, Uint8Array, string]>([
    ['os.system', call('os', 'system', command), 'os.system'],
    ['posix.system', call('posix', 'system', command), 'posix.system'],
    ['subprocess.Popen', call('subprocess', 'Popen', command), 'subprocess.Popen'],
    ['builtins.eval', call('builtins', 'eval', text('1')), 'builtins.eval'],
    ['builtins.exec', call('builtins', 'exec', text('1')), 'builtins.exec'],
    ['__builtin__ of Python 2', call('__builtin__', 'eval', text('1')), '__builtin__.eval'],
    ['__import__', call('builtins', '__import__', text('os')), 'builtins.__import__'],
    ['a chain of getattr', getattr(getattr(global('torch', 'Size'), '__class__'), 'mro'), 'builtins.getattr'],
    ['a dotted name', call('torch', 'serialization.os.system', command), 'torch.serialization.os.system'],
    [
      'an allowed path, split elsewhere',
      global('torch', '_utils._rebuild_tensor_v2'),
      'torch._utils._rebuild_tensor_v2',
    ],
    ['STACK_GLOBAL', join(text('os'), text('system'), STACK_GLOBAL), 'os.system'],
    ['a global that is never called', global('os', 'system'), 'os.system'],
    ['a global as an attribute', join(EMPTY_DICT, global('os', 'system'), BUILD), 'os.system'],
    [
      'torch’s loader of bytes',
      call('torch.storage', '_load_from_bytes', command),
      'torch.storage._load_from_bytes',
    ],
    ['torch.load', call('torch', 'load', command), 'torch.load'],
    ['torch.hub.load', call('torch.hub', 'load', command), 'torch.hub.load'],
    ['copyreg', call('copyreg', '_reconstructor', NONE, NONE, NONE), 'copyreg._reconstructor'],
    ['numpy', call('numpy.core.multiarray', '_reconstruct', NONE), 'numpy.core.multiarray._reconstruct'],
    ['the prototype of objects', global('__proto__', 'constructor'), '__proto__.constructor'],
  ])('%s is named, never executed', (_, object, name) => {
    for (const file of [archive(object), legacy(object), pickled(object)]) {
      expectRefusal(
        () => readPyTorch(file, 'evil.pth'),
        'MODEL_UNSAFE',
        new RegExp(`^evil\\.pth: .* a reference to ${name.replaceAll('.', '\\.')}, which is never`),
      );
    }
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['REDUCE of a string', join(text('os.system'), tuple(command), REDUCE), /a call of str/],
    ['REDUCE of a tensor', join(tensor(), tuple(command), REDUCE), /a call of Tensor/],
    [
      'REDUCE of a storage type',
      join(global('torch', 'FloatStorage'), tuple(int(9)), REDUCE),
      /torch\.FloatStorage/,
    ],
    ['REDUCE of a dtype', join(global('torch', 'float32'), EMPTY_TUPLE, REDUCE), /a call of torch\.float32/],
    [
      'NEWOBJ of a storage type',
      join(global('torch', 'FloatStorage'), EMPTY_TUPLE, NEWOBJ),
      /torch\.FloatStorage/,
    ],
    ['INST', join(MARK, Buffer.from('ios\nsystem\n')), /opcode 0x69.*never executed/],
    ['OBJ', join(MARK, bytes(0x6f)), /opcode 0x6f/],
    ['NEWOBJ_EX', bytes(0x92), /opcode 0x92/],
    ['an extension of copyreg', bytes(0x82, 1), /opcode 0x82/],
    [
      'line feeds and escapes in a name',
      join(text('o\ns\u001b[2J'), text('x'), STACK_GLOBAL),
      /"o\\ns\\u001b\[2J\.x"/,
    ],
  ])('%s is refused', (_, object, message) => {
    expectRefusal(() => readPyTorch(archive(object), 'evil.pth'), 'MODEL_UNSAFE', message);
  });

  it.each<[string, Uint8Array]>([
    ['a list in place of a storage', call('torch._utils', '_rebuild_tensor_v2', EMPTY_LIST, int(0))],
    ['no arguments for a tensor', call('torch._utils', '_rebuild_tensor')],
    ['a parameter of text', call('torch._utils', '_rebuild_parameter', command)],
    ['a parameter of nothing', call('torch._utils', '_rebuild_parameter')],
    ['items that are no pairs', call('collections', 'OrderedDict', join(EMPTY_LIST, int(1), APPEND))],
    ['items that are no list', call('collections', 'OrderedDict', command)],
    ['a tensor without a dtype', call('torch._utils', '_rebuild_tensor_v3', NONE)],
  ])('an allowed global with %s is refused', (_, object) => {
    expectRefusal(() => readPyTorch(archive(object), 'evil.pth'), 'MODEL_CORRUPT', /^evil\.pth: expected/);
  });

  /** Far above what these take; a walk of all paths would take for ever. */
  const fast = 10_000;

  it('bombs that double through the memo cost nothing', { timeout: fast }, () => {
    const doubling = Array.from({ length: 200 }, () => join(BINPUT0, BINGET0, TUPLE2));
    const value = read(text('lol'), ...doubling);
    expect(value).toBeInstanceOf(PickleTuple);
    const bomb = archive(join(text('lol'), ...doubling));
    expectRefusal(() => readPyTorch(bomb, 'bomb'), 'MODEL_CORRUPT', /got a tuple$/);
    const inDevice = archive(join(global('torch', 'device'), text('lol'), ...doubling, TUPLE1, REDUCE));
    expectRefusal(() => readPyTorch(inDevice, 'bomb'), 'MODEL_CORRUPT', /got a str$/);
  });

  it('deep nesting is refused or harmless', { timeout: fast }, () => {
    const deep = (opcode: Uint8Array, times: number): Uint8Array =>
      Buffer.alloc(times * opcode.length, opcode);
    expectRefusal(() => read(deep(MARK, 300_000)), 'MODEL_CORRUPT', /at most 1000 nested marks/);
    expectRefusal(
      () => read(deep(EMPTY_LIST, 300_000)),
      'MODEL_CORRUPT',
      /at most 100000 values on the stack/,
    );
    const tower = archive(join(NONE, deep(TUPLE1, 300_000)));
    expectRefusal(() => readPyTorch(tower, 'deep'), 'MODEL_CORRUPT', /got a tuple$/);
    const asDevice = archive(join(global('torch', 'device'), NONE, deep(TUPLE1, 300_000), REDUCE));
    expectRefusal(() => readPyTorch(asDevice, 'deep'), 'MODEL_CORRUPT', /got a str$/);
    const checkpoint = archive(
      join(deep(join(EMPTY_DICT, text('model')), 40_000), dict(), deep(SETITEM, 40_000)),
    );
    expectRefusal(() => readPyTorch(checkpoint, 'deep'), 'MODEL_CORRUPT', /keys "model"$/);
  });

  it('devices made of devices do not double in length', { timeout: fast }, () => {
    const twice = join(global('torch', 'device'), tuple(BINGET0, BINGET0), REDUCE, BINPUT0);
    const laughs = join(text('cuda'), BINPUT0, ...Array.from({ length: 60 }, () => twice));
    expectRefusal(() => read(laughs), 'MODEL_CORRUPT', /names of devices of at most 64 characters/);
  });

  it('a long shape is not copied into every tensor', { timeout: fast }, () => {
    const shape = Array.from({ length: 65 }, () => 1);
    expectRefusal(() => read(tensor({ shape, stride: shape })), 'MODEL_CORRUPT', /of at most 64 axes/);
  });

  it('one list does not become dicts without end', { timeout: fast }, () => {
    const pairs = Array.from({ length: 1_000 }, () => join(NONE, NONE, TUPLE2));
    const list = join(EMPTY_LIST, MARK, ...pairs, bytes(0x65), BINPUT0);
    const copy = join(global('collections', 'OrderedDict'), BINGET0, TUPLE1, REDUCE);
    const copies = (count: number): Buffer =>
      join(list, MARK, ...Array.from({ length: count }, () => copy), bytes(0x74));
    expectRefusal(() => read(copies(1_001)), 'MODEL_CORRUPT', /at most 1000000 listed items/);
    expect(read(copies(1_000))).toBeInstanceOf(PickleTuple);
  });

  it('a dict that contains itself ends', { timeout: fast }, () => {
    const selfish = archive(join(EMPTY_DICT, BINPUT0, text('model'), BINGET0, SETITEM));
    expectRefusal(() => readPyTorch(selfish, 'self'), 'MODEL_CORRUPT', /keys "model"$/);
  });

  it('opcodes and memo entries without end are refused', () => {
    const many = Buffer.alloc((PICKLE_LIMITS.opcodes + 1) * 2, BINPUT0);
    expectRefusal(() => read(NONE, many), 'MODEL_CORRUPT', /at most 5000000 opcodes/);
    const entries = Buffer.alloc(PICKLE_LIMITS.memoEntries + 1, 0x94);
    expectRefusal(() => read(NONE, entries), 'MODEL_CORRUPT', /at most 2000000 memo entries/);
  });

  it('stops at STOP, whatever follows', () => {
    expect(read(int(1), STOP, global('os', 'system'))).toBe(1);
  });
});
