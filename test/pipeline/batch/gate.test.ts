import { expect, it } from 'vitest';
import { Gate } from '../../../src/pipeline/batch/gate.ts';

/** Whether a promise has settled by now. */
async function hasPassed(passage: Promise<void>): Promise<boolean> {
  let passed = false;
  void passage.then(() => (passed = true));
  await new Promise((resolve) => setImmediate(resolve));
  return passed;
}

it('is open until it is shut', async () => {
  const gate = new Gate();
  expect(gate.isOpen).toBe(true);
  expect(await hasPassed(gate.passage())).toBe(true);
  gate.shut();
  expect(gate.isOpen).toBe(false);
  expect(await hasPassed(gate.passage())).toBe(false);
});

it('lets everyone pass who waits when it opens, and who comes then', async () => {
  const gate = new Gate();
  gate.shut();
  const passages = [gate.passage(), gate.passage(), gate.passage()];
  gate.open();
  expect(await Promise.all(passages.map(hasPassed))).toEqual([true, true, true]);
  expect(await hasPassed(gate.passage())).toBe(true);
});

it('holds who has not passed yet when it is shut again at once', async () => {
  const gate = new Gate();
  gate.shut();
  const passage = gate.passage();
  gate.open();
  gate.shut();
  expect(await hasPassed(passage)).toBe(false);
  gate.open();
  expect(await hasPassed(passage)).toBe(true);
});

it('does not mind to be opened or shut twice', async () => {
  const gate = new Gate();
  gate.open();
  gate.shut();
  gate.shut();
  const passage = gate.passage();
  expect(await hasPassed(passage)).toBe(false);
  gate.open();
  gate.open();
  expect(await hasPassed(passage)).toBe(true);
});
