import { describe, expect, it } from 'vitest';
import { expandBraces, hasBraces } from '../../../src/pipeline/source/brace-expansion.ts';
import { errorOf } from './support.ts';

describe('brace notation', () => {
  it.each([
    ['a.tar', ['a.tar']],
    ['{0..2}.tar', ['0.tar', '1.tar', '2.tar']],
    ['{008..011}.tar', ['008.tar', '009.tar', '010.tar', '011.tar']],
    ['{8..11}.tar', ['8.tar', '9.tar', '10.tar', '11.tar']],
    ['{00..00}.tar', ['00.tar']],
    ['x-{a,b,}.tar', ['x-a.tar', 'x-b.tar', 'x-.tar']],
    ['{a,b}/{0..1}.tar', ['a/0.tar', 'a/1.tar', 'b/0.tar', 'b/1.tar']],
  ])('%s', (name, expected) => {
    expect([...expandBraces(name)]).toEqual(expected);
  });

  it.each(['{}.tar', '{a}.tar', '{3..1}.tar', '{0..1000000}.tar', '{0..999}{0..1001}.tar', '{1..x}.tar'])(
    'refuses %s',
    async (name) => {
      expect((await errorOf((async () => [...expandBraces(name)])())).code).toBe('URI_INVALID');
    },
  );

  it('refuses many ranges of a million without making one name', async () => {
    const name = '{1..1000000}'.repeat(200);
    expect((await errorOf((async () => [...expandBraces(name)])())).code).toBe('URI_INVALID');
  });

  it('is seen only where a group is closed', () => {
    expect(hasBraces('a{0..1}.tar')).toBe(true);
    expect(hasBraces('a{0.tar')).toBe(false);
  });
});
