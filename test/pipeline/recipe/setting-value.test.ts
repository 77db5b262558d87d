import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  describeSettingType,
  formatSettingValue,
  parseSettingValue,
  quote,
  type SettingType,
} from '../../../src/pipeline/recipe/setting-value.ts';

const any: SettingType = { kind: 'number', integer: false };

describe('parseSettingValue', () => {
  it('reads back every number it writes, and writes no sign before 0', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(parseSettingValue(any, formatSettingValue(value))).toBe(value === 0 ? 0 : value);
      }),
    );
    expect(Object.is(parseSettingValue(any, '-0'), 0)).toBe(true);
  });

  it.each(['', ' ', '1 2', '1_000', '0x1', '1e', '.', 'Infinity', '-Infinity', 'NaN', '1e400', '1n', '٣'])(
    'does not take %j for a number',
    (text) => {
      expect(parseSettingValue(any, text)).toBeUndefined();
    },
  );

  it('takes bounds as the type says', () => {
    const between: SettingType = { kind: 'number', integer: false, exclusiveMinimum: 0, maximum: 1 };
    expect(['0', '1e-300', '1', '1.0000001'].map((text) => parseSettingValue(between, text))).toEqual([
      undefined,
      1e-300,
      1,
      undefined,
    ]);
    const whole: SettingType = { kind: 'number', integer: true, minimum: -1 };
    expect(['-2', '-1', '1e3', '9007199254740993'].map((text) => parseSettingValue(whole, text))).toEqual([
      undefined,
      -1,
      1000,
      undefined,
    ]);
  });

  it('takes an empty list, and a tuple of the right length only', () => {
    expect(parseSettingValue({ kind: 'list' }, '')).toEqual([]);
    expect(parseSettingValue({ kind: 'list' }, 'a, b')).toEqual(['a', 'b']);
    expect(parseSettingValue({ kind: 'list' }, 'a,,b')).toBeUndefined();
    const pair: SettingType = { kind: 'tuple', items: [any, any] };
    expect(['1,2', '1', '1,2,3', '1,x'].map((text) => parseSettingValue(pair, text))).toEqual([
      [1, 2],
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('describeSettingType', () => {
  it.each([
    [any, 'a number'],
    [{ kind: 'number', integer: true, maximum: 3 }, 'a whole number of 3 or less'],
    [{ kind: 'number', integer: false, exclusiveMinimum: 0, maximum: 1 }, 'a number above 0 up to 1'],
    [{ kind: 'boolean' }, 'true or false'],
  ] satisfies [SettingType, string][])('%j is %s', (type, text) => {
    expect(describeSettingType(type)).toBe(text);
  });
});

describe('quote', () => {
  it('cuts what is long and shows what is invisible', () => {
    expect(quote('a\nb')).toBe('"a\\nb"');
    expect(quote('x'.repeat(1000))).toHaveLength(83);
  });
});
