import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PATH = fileURLToPath(new URL('../../../dist/workers/compute/compute-main.js', import.meta.url));

describe('compute process', () => {
  it('ends with its control process, also where that dies while it is still loading', async () => {
    for (const waitsForReady of [false, true]) {
      const child = fork(PATH, ['--device', 'cpu'], { serialization: 'advanced', stdio: 'ignore' });
      if (waitsForReady) await once(child, 'message');
      const exited = once(child, 'exit');
      child.disconnect();
      expect(await exited).toEqual([0, null]);
    }
  });
});
