import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { treeCpuSeconds, treeMemoryBytes, watchMemory } from '../../bench/process-tree.ts';
import { titleNeeding } from '../support/needs.ts';

const hasProc = existsSync('/proc/self/smaps_rollup');
const BALLAST_MB = 200;
const MB = 1e6;

/** A shell whose child holds memory and has used processor time. */
async function startTree(): Promise<{ pid: number; stop(): Promise<void> }> {
  const script = `const ballast = Buffer.alloc(${BALLAST_MB * MB}, 1);
    const end = Date.now() + 300; while (Date.now() < end);
    console.log(ballast.length); process.stdin.resume(); process.stdin.on('end', () => process.exit());`;
  const shell = spawn('sh', ['-c', '"$0" -e "$1"; exit 0', process.execPath, script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(shell.stdout, 'data');
  return {
    pid: shell.pid ?? 0,
    async stop() {
      const exited = once(shell, 'exit');
      shell.stdin.end();
      await exited;
    },
  };
}

describe('process tree', () => {
  it.skipIf(!hasProc)(titleNeeding('/proc', hasProc, 'adds up a process and its descendants'), async () => {
    const tree = await startTree();
    try {
      expect(treeMemoryBytes(tree.pid)).toBeGreaterThan(BALLAST_MB * MB);
      const cpu = treeCpuSeconds(tree.pid);
      expect(cpu.size).toBe(2);
      expect([...cpu.values()].reduce((sum, seconds) => sum + seconds, 0)).toBeGreaterThan(0.1);
    } finally {
      await tree.stop();
    }
  });

  it.skipIf(!hasProc)(
    titleNeeding('/proc', hasProc, 'remembers the peak after the memory is gone'),
    async () => {
      const tree = await startTree();
      const watch = watchMemory(tree.pid, 10);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await tree.stop();
      expect(treeMemoryBytes(tree.pid)).toBe(0);
      expect(watch.stop()).toBeGreaterThan(BALLAST_MB * MB);
    },
  );
});
