import { expect, it } from 'vitest';
import { describeMachine, memoryOf } from '../../src/config/machine.ts';

it('knows the least of the memory of the machine and of its control group', () => {
  expect(memoryOf(100, 40)).toBe(40);
  expect(memoryOf(100, 2 ** 64)).toBe(100);
  expect(memoryOf(100, 0)).toBe(100);
});

it('describes this machine', () => {
  const machine = describeMachine();
  expect(machine).toMatchObject({ node: process.versions.node, architecture: process.arch });
  expect(machine.cores).toBeGreaterThan(0);
  expect(machine.memoryBytes).toBeGreaterThan(2 ** 20);
  if (process.platform === 'linux') expect(machine.libc).toMatch(/^(glibc \d+\.\d+|musl)$/);
});
