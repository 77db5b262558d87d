import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_CATALOGUE } from '../../../../src/contract/errors.ts';
import { RUN_KINDS } from '../../../../src/contract/run.ts';
import { parseFields } from '../../../../src/dashboard/pages/form-body.ts';
import { FORM_FIELDS } from '../../../../src/dashboard/pages/submit/form-fields.ts';
import { fieldOfFault, readForm } from '../../../../src/dashboard/pages/submit/read-form.ts';
import { submitPage } from '../../../../src/dashboard/pages/submit/submit-page.ts';

const minimal = {
  classify: 'source=/photos&model=m.onnx&out=/labels',
  prepare: 'source=/photos&out=/dataset',
  train: 'dataset=/dataset&out=/run',
  evaluate: 'dataset=/dataset&model=m.onnx',
} as const;

const requestOf = (kind: keyof typeof minimal, more = '') =>
  readForm(kind, parseFields(`${minimal[kind]}${more}`));

describe('a form', () => {
  it.each(RUN_KINDS)('of a %s run takes what must be said, and fills in the rest', (kind) => {
    expect(requestOf(kind)).toMatchObject({ request: { kind } });
  });

  it('as it is first shown, filled in where it must be, is accepted', () => {
    for (const kind of RUN_KINDS) {
      const standards = FORM_FIELDS[kind].flatMap(({ name, standard }) =>
        standard === undefined ? [] : [`&${name}=${standard}`],
      );
      expect(requestOf(kind, standards.join(''))).toEqual(requestOf(kind));
    }
  });

  it('says everything that is wrong at once, in the words of the command line', () => {
    const read = readForm('classify', parseFields('source=&out=/o&topK=0&crops=3&limit=many&shardSize=1.5'));
    expect(read).toMatchObject({
      faults: {
        model: expect.stringContaining('got nothing'),
        source: expect.stringContaining('got nothing'),
        topK: 'expected a whole number from 1 to 1000, got 0',
        crops: 'expected one of 1, 10, got 3',
        limit: expect.stringMatching(/^expected a whole number from 1 to \d+, got many$/),
        shardSize: 'expected a whole number from 1 to 100000, got 1.5',
      },
    });
  });

  it('reads lines, times, flags and shares', () => {
    expect(requestOf('classify', '&include=*.png%0D%0A%0D%0A *.jpg &embeddings=true')).toMatchObject({
      request: { include: ['*.png', '*.jpg'], embeddings: true },
    });
    expect(requestOf('train', '&at=2030-01-31T02:00:00Z&settings=a%3D1')).toMatchObject({
      request: { at: '2030-01-31T02:00:00.000Z', settings: ['a=1'] },
    });
    expect(requestOf('train', '&at=soon')).toMatchObject({
      faults: { at: 'expected a time such as 2026-01-31T02:00:00Z, got soon' },
    });
    expect(requestOf('prepare', '&valFraction=0.95')).toMatchObject({
      faults: { valFraction: 'expected a number from 0 to 0.9, got 0.95' },
    });
  });

  it('gives a request or faults for whatever is sent, and can be shown again', () => {
    const name = fc.oneof(
      fc.constantFrom(...RUN_KINDS.flatMap((kind) => FORM_FIELDS[kind].map((field) => field.name))),
      fc.string(),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...RUN_KINDS),
        fc.array(fc.tuple(name, fc.string({ unit: 'grapheme' })), { maxLength: 20 }),
        (kind, entries) => {
          const fields = parseFields(new URLSearchParams(entries).toString());
          const read = readForm(kind, fields);
          const faults = 'faults' in read ? read.faults : {};
          expect('request' in read || Object.keys(faults).length > 0).toBe(true);
          const { text } = submitPage({ kind, fields, faults, idempotencyKey: 'k' });
          for (const [, value] of entries) {
            if (value.includes('<')) expect(text).not.toContain(`"${value}"`);
          }
        },
      ),
    );
  });
});

describe('a fault of a submission', () => {
  it('stands beside the field it is about, for every code', () => {
    expect(fieldOfFault('classify', 'SOURCE_EMPTY', 'expected …')).toBe('source');
    expect(fieldOfFault('classify', 'MODEL_LABELS_MISMATCH', 'expected …')).toBe('labels');
    expect(fieldOfFault('train', 'MODEL_CORRUPT', 'expected …')).toBe('init');
    expect(fieldOfFault('train', 'RECIPE_INVALID', 'expected …')).toBe('settings');
    expect(fieldOfFault('evaluate', 'LOCATION_REFUSED', 'model: expected …')).toBe('model');
    expect(fieldOfFault('prepare', 'STORE_UNREACHABLE', 'expected …')).toBe('');
    const names = new Set(RUN_KINDS.flatMap((kind) => FORM_FIELDS[kind].map(({ name }) => name)));
    for (const kind of RUN_KINDS) {
      for (const code of Object.keys(ERROR_CATALOGUE)) {
        const field = fieldOfFault(kind, code, 'expected …');
        expect(field === '' || names.has(field)).toBe(true);
      }
    }
  });
});
