import { describe, expect, it } from 'vitest';
import { Recent } from '../../../src/dashboard/pictures/recent.ts';

describe('Recent', () => {
  it('reads a value once, for all who ask, and those used lately are kept', async () => {
    const reads: string[] = [];
    const recent = new Recent<string>(2);
    const get = (key: string) =>
      recent.get(key, async () => {
        reads.push(key);
        return `value of ${key}`;
      });
    expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual([
      'value of a',
      'value of a',
      'value of b',
    ]);
    await get('a');
    await get('c');
    await get('a');
    expect(reads).toEqual(['a', 'b', 'c']);
    await get('b');
    expect(reads).toEqual(['a', 'b', 'c', 'b']);
  });

  it('asks again for what could not be read', async () => {
    const recent = new Recent<number>(2);
    await expect(recent.get('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    expect(await recent.get('a', () => Promise.resolve(1))).toBe(1);
  });
});
