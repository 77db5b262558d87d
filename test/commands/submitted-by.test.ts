import { hostname, userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { submittedByUser } from '../../src/commands/submitted-by.ts';

describe('submittedByUser', () => {
  it('is the user and the host', () => {
    expect(submittedByUser(() => 'ada')).toBe(`ada@${hostname()}`);
    expect(submittedByUser()).toBe(`${userInfo().username}@${hostname()}`);
  });

  it('is left out where the system knows no name, or one that cannot be printed or is too long', () => {
    const nobody = () => {
      throw new Error('ENOENT: no such user');
    };
    expect([nobody, () => 'a\u0007da', () => 'x'.repeat(300)].map(submittedByUser)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
