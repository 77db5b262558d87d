import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as dataset from '../../src/contract/dataset.ts';
import type { DocumentType } from '../../src/contract/document.ts';
import * as jobs from '../../src/contract/jobs.ts';
import * as ledger from '../../src/contract/ledger.ts';
import * as card from '../../src/contract/model-card.ts';
import * as run from '../../src/contract/run.ts';
import * as training from '../../src/contract/training.ts';
import { createDocuments } from './valid-documents.ts';
import { FUZZ_TIMEOUT_MS, fuzz, outcomeOf, parameters, utf8, type Parser } from './support.ts';

type AnyDocument = DocumentType<never>;

/** Every document type that the contract exports: one that is added is fuzzed, or fails for want of an example. */
const TYPES: ReadonlyMap<string, AnyDocument> = new Map(
  [dataset, jobs, ledger, card, run, training]
    .flatMap((module): unknown[] => Object.values(module))
    .filter(
      (value): value is AnyDocument =>
        typeof value === 'object' && value !== null && 'schema' in value && 'encode' in value,
    )
    .map((type) => [type.id, type]),
);

const VALID = createDocuments();

function parserOf(type: AnyDocument): Parser<unknown> {
  return {
    name: 'documents',
    codes: ['CONTRACT_INVALID', 'CONTRACT_VERSION_UNKNOWN'],
    parse: (bytes) => type.decode(bytes, 'document'),
    // What was read once is read again after it was written: nothing is lost on the way through a ledger.
    check: (value) => expect(type.decode(type.encode(value as never), 'again')).toEqual(value),
  };
}

describe('documents of the contract', () => {
  it('have an example each', () => {
    expect([...TYPES.keys()].toSorted()).toEqual(Object.keys(VALID).toSorted());
  });

  it.each([...TYPES])('%s gives back what was written', (id, type) => {
    const value = type.parse(VALID[id], id);
    expect(type.decode(type.encode(value), id)).toEqual(value);
    expect(JSON.parse(new TextDecoder().decode(type.encode(value)))).toEqual(value);
  });
});

/** Values that are no more than JSON, and rarely what a field expects. */
const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    null,
    true,
    -1,
    0.5,
    1e300,
    2 ** 53,
    '',
    '../../x',
    '\u0000',
    '\ud800',
    [],
    {},
    [[[[]]]],
    { toString: null, valueOf: null },
    { toJSON: 1, length: -1 },
    'x'.repeat(10_000),
  ),
);

/** One place of a JSON value: steps, each taken modulo what there is. */
const place = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 4 });
const change = fc.record({
  place,
  kind: fc.constantFrom('replace', 'remove', 'add'),
  name: fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString', 'schema')),
  value: odd,
});

function changed(node: unknown, steps: readonly number[], edit: (holder: object, key: string) => void): void {
  const [step = 0, ...rest] = steps;
  if (typeof node !== 'object' || node === null) return;
  const keys = Object.keys(node);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return;
  const child = (node as Record<string, unknown>)[key];
  if (rest.length === 0 || typeof child !== 'object' || child === null) edit(node, key);
  else changed(child, rest, edit);
}

describe.each([...TYPES])('%s', (id, type) => {
  it('reads or refuses it with any field changed', { timeout: FUZZ_TIMEOUT_MS }, async () => {
    const parser = parserOf(type);
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const value: unknown = structuredClone(VALID[id]);
        for (const each of changes) {
          changed(value, each.place, (holder, key) => {
            if (each.kind === 'remove') Reflect.deleteProperty(holder, key);
            else
              Object.defineProperty(holder, each.kind === 'add' ? each.name : key, {
                value: each.value,
                enumerable: true,
                writable: true,
                configurable: true,
              });
          });
        }
        outcomes.add(await outcomeOf(parser, utf8(JSON.stringify(value))));
      }),
      parameters(60),
    );
    expect(outcomes).toContain('CONTRACT_INVALID');
  });
});

const ANY_TYPE: Parser<unknown> = {
  name: 'documents',
  codes: ['CONTRACT_INVALID', 'CONTRACT_VERSION_UNKNOWN'],
  parse: (bytes) => {
    for (const type of TYPES.values()) {
      try {
        return type.decode(bytes, 'document');
      } catch (error) {
        if ((error as { code?: string }).code !== 'CONTRACT_VERSION_UNKNOWN') throw error;
      }
    }
    return ledger.planDocument.decode(bytes, 'document');
  },
};

fuzz(ANY_TYPE, {
  seeds: Object.fromEntries(Object.entries(VALID).map(([id, value]) => [id, utf8(JSON.stringify(value))])),
  words: ['{"schema":{"toString":null}}', '[[[[[[[[', '{"__proto__":{', '"\\ud800"', '\u2028', 'NaN'].map(
    utf8,
  ),
  runs: 1_000,
});
