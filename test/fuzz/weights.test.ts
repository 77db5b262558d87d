import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeCheckpoint,
  encodeCheckpoint,
  type CheckpointHeader,
} from '../../src/pipeline/model/checkpoint.ts';
import { TORCHVISION_PREPROCESSING } from '../../src/contract/model-card.ts';
import { recipeByName } from '../../src/pipeline/recipe/recipes.ts';
import { detectModelFormat } from '../../src/pipeline/model/weights/detect.ts';
import { readPickle } from '../../src/pipeline/model/weights/pickle.ts';
import { readPyTorch } from '../../src/pipeline/model/weights/pytorch.ts';
import { readSafetensors, writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import type { StateDict } from '../../src/pipeline/model/weights/state-dict.ts';
import { TorchHost } from '../../src/pipeline/model/weights/torch-host.ts';
import { memberBytes, readZipDirectory } from '../../src/pipeline/model/weights/zip.ts';
import { zip } from '../pipeline/model/weights/support.ts';
import { FUZZ_TIMEOUT_MS, fuzz, outcomeOf, parameters, utf8, type Parser } from './support.ts';

const reference = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../reference/weights/${name}`, import.meta.url)));
const files = (...names: string[]): Record<string, Uint8Array> =>
  Object.fromEntries(names.map((name) => [name, reference(name)]));

/** A tensor has as many elements as its shape says, whatever the file says. */
function checkTensors(tensors: StateDict): void {
  for (const [name, { shape, data }] of tensors) {
    expect(typeof name).toBe('string');
    expect(data).toBeInstanceOf(Float32Array);
    expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true);
    expect(shape.reduce((count, size) => count * size, 1)).toBe(data.length);
  }
}

const SAFETENSORS: Parser<ReturnType<typeof readSafetensors>> = {
  name: 'safetensors',
  codes: ['MODEL_CORRUPT'],
  parse: (bytes) => readSafetensors(bytes, 'm'),
  check: ({ tensors, metadata }) => {
    checkTensors(tensors);
    for (const text of Object.values(metadata)) expect(typeof text).toBe('string');
  },
};

const PICKLE_WORDS = [
  'cos\nsystem\n',
  'cbuiltins\neval\n',
  'ctorch._utils\n_rebuild_tensor_v2\n',
  'ccollections\nOrderedDict\n',
  'ctorch\ndevice\n',
  '\x8c\x05torch\x8c\x04Size\x93',
  '(',
  't',
  '\x85',
  'R',
  '\x81',
  '\x92',
  '\x82\x01',
  '\x83\x01\x00',
  '\x84\x01\x00\x00\x00',
  'i',
  'o',
  'b',
  'Q',
  'e',
  'u',
  's',
  '\x94',
  'h\x00',
  'q\x00',
  '2',
  '0',
  '.',
  '\x8d\x00\x00\x00\x00\x00\x00\x00\x10',
  '\x8e\x00\x00\x00\x00\x00\x00\x00\x10',
  '\x95\x00\x00\x00\x00\x00\x00\x00\x10',
  '\x8b\xff\xff\xff\xff',
].map((word) => new Uint8Array(Buffer.from(word, 'latin1')));

const PYTORCH: Parser<StateDict> = {
  name: 'pytorch',
  codes: ['MODEL_CORRUPT', 'MODEL_UNSAFE', 'MODEL_FORMAT_UNKNOWN'],
  parse: (bytes) => readPyTorch(bytes, 'm'),
  check: checkTensors,
};

/** The checksums of all members taken to be right: 0 is what PyTorch writes when told not to compute them. */
function withoutChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  for (let at = 0; at + 46 <= copy.length; at++) {
    if (view.getUint32(at, true) === 0x02014b50) view.setUint32(at + 16, 0, true);
  }
  return copy;
}

const PICKLE: Parser<{ end: number }> = {
  name: 'pickle',
  codes: ['MODEL_CORRUPT', 'MODEL_UNSAFE'],
  parse: (bytes) => readPickle(bytes, 0, new TorchHost('p'), 'p'),
  check: ({ end }, bytes) => expect(end).toBeLessThanOrEqual(bytes.length),
};

const ZIP: Parser<Uint8Array[]> = {
  name: 'zip',
  codes: ['MODEL_CORRUPT'],
  parse: (bytes) =>
    [...readZipDirectory(bytes, 'z').values()].map((member) => memberBytes(bytes, member, 'z')),
  check: (members, bytes) => {
    for (const member of members) expect(member.buffer).toBe(bytes.buffer);
  },
};

const DETECT: Parser<string | null> = {
  name: 'detect',
  codes: [],
  parse: (bytes) => detectModelFormat(bytes, 'noname'),
  check: (format) => expect(['safetensors', 'pytorch', 'onnx', null]).toContain(format),
};

fuzz(SAFETENSORS, {
  seeds: files('float32.safetensors', 'mixed.safetensors'),
  words: ['"__metadata__":{"a":"b"},', '"dtype":"F64"', '[0,0]', '{"', '\\u0000', '-1', '1e15'].map(utf8),
});
fuzz(PYTORCH, {
  seeds: files(
    'ancient.legacy.pth',
    'ancient.zip.pth',
    'dtypes.legacy.pth',
    'dtypes.zip.pth',
    'parameters.zip.pth',
    'protocol4.legacy.pth',
    'views.legacy.pth',
    'views.zip.pth',
  ),
  words: PICKLE_WORDS,
  repair: withoutChecksums,
  runs: 2_500,
});
fuzz(ZIP, {
  seeds: {
    plain: zip([
      ['a/data.pkl', utf8('hello')],
      ['a/data/0', new Uint8Array(64)],
    ]),
    zip64: zip([['a/data.pkl', utf8('hello')]], { zip64: true, comment: 'c' }),
  },
  repair: withoutChecksums,
});
fuzz(PICKLE, {
  seeds: Object.fromEntries(
    ['ancient.zip.pth', 'protocol4.zip.pth', 'dtypes.zip.pth'].map((name) => [
      name,
      pickleOf(reference(name)),
    ]),
  ),
  words: PICKLE_WORDS,
  runs: 2_500,
});
fuzz(DETECT, {
  seeds: files('float32.safetensors', 'ancient.zip.pth', 'ancient.legacy.pth'),
  refusesNothing: true,
});

function pickleOf(archive: Uint8Array): Uint8Array {
  const directory = readZipDirectory(archive, 'z');
  const [member] = [...directory.values()].filter(({ name }) => name.endsWith('data.pkl'));
  if (member === undefined) throw new Error('expected an archive with a pickle');
  return memberBytes(archive, member, 'z').slice();
}

describe('pickles of any opcodes', () => {
  it('are read or refused', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const word = fc.oneof(
      fc.constantFrom(...PICKLE_WORDS),
      fc.nat(255).map((opcode) => Uint8Array.of(opcode)),
      fc.tuple(fc.constantFrom(0x4b, 0x68, 0x71), fc.nat(8)).map((values) => Uint8Array.from(values)),
    );
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 60 }), async (words) => {
        const bytes = Buffer.concat([Uint8Array.of(0x80, 2, 0x4e), ...words, Uint8Array.of(0x2e)]);
        outcomes.add(await outcomeOf(PICKLE, bytes));
      }),
      parameters(2_000),
    );
    expect([...outcomes].toSorted()).toEqual(['MODEL_CORRUPT', 'MODEL_UNSAFE', 'value']);
  });
});

const tensors = fc.dictionary(
  fc.string({ unit: 'grapheme', maxLength: 12 }).filter((name) => name !== '__metadata__'),
  fc
    .array(fc.nat(4), { maxLength: 4 })
    .chain((shape) => {
      const length = shape.reduce((count, size) => count * size, 1);
      return fc.tuple(fc.constant(shape), fc.float32Array({ minLength: length, maxLength: length }));
    })
    .map(([shape, data]) => ({ shape, data })),
  { maxKeys: 6 },
);
const text = fc.string({ unit: 'grapheme', maxLength: 20 });

describe('writeSafetensors', () => {
  it('writes what readSafetensors reads back', () => {
    fc.assert(
      fc.property(tensors, fc.dictionary(text, text, { maxKeys: 4 }), (entries, metadata) => {
        const written = new Map(Object.entries(entries));
        const read = readSafetensors(writeSafetensors(written, metadata), 'm');
        expect(read.tensors).toEqual(written);
        expect(new Map(Object.entries(read.metadata))).toEqual(new Map(Object.entries(metadata)));
      }),
      parameters(300),
    );
  });
});

const HEADER: CheckpointHeader = {
  epoch: 3,
  step: 17,
  seed: 5,
  recipe: recipeByName('alexnet-2012'),
  datasetDigest: 'sha256:d',
};
const FACTS = { architecture: 'alexnet-2012', labels: ['a', 'b'], preprocessing: TORCHVISION_PREPROCESSING };
const weights: StateDict = new Map([
  ['classifier.6.weight', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ['classifier.6.bias', { shape: [2], data: Float32Array.of(7, 8) }],
]);

fuzz(
  {
    name: 'checkpoint',
    codes: ['CHECKPOINT_INVALID', 'MODEL_CORRUPT'],
    parse: (bytes) => decodeCheckpoint(bytes, HEADER, 'c'),
    check: (state) => {
      checkTensors(state.weights);
      checkTensors(state.velocities);
    },
  },
  {
    seeds: { checkpoint: encodeCheckpoint({ weights, velocities: weights }, HEADER, FACTS) },
    words: ['momentum_buffer.', '\\"epoch\\":4', '\\"version\\":2', '{'].map(utf8),
    runs: 500,
  },
);
