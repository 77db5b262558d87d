import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  outcomeOf,
  probeEngine,
  type ProbeEnd,
} from '../../../../src/pipeline/engine/doctor/probe-engine.ts';
import type { ProbeTask } from '../../../../src/pipeline/engine/doctor/protocol.ts';
import { findLibraries } from '../../../../src/pipeline/engine/tensorflow/find-library.ts';
import { writeFakeTensorflow } from '../../../support/fake-tensorflow.ts';
import { titleNeeding } from '../../../support/needs.ts';

const never = new AbortController().signal;
const probe = (task: ProbeTask, more: { limitMs?: number; signal?: AbortSignal; env?: object } = {}) =>
  probeEngine(task, {
    environment: { ...process.env, ...more.env },
    signal: more.signal ?? never,
    ...(more.limitMs === undefined ? {} : { limitMs: more.limitMs }),
  });

describe('what is told of a process', () => {
  const END: ProbeEnd = { message: undefined, how: 'SIGABRT', stderr: '', timedOut: false, seconds: 1 };
  const missing = { state: 'missing', detail: 'Failed to load', tensorflow: null, usesGpu: null };

  it('is how it ended, and its last words', () => {
    expect(outcomeOf(END, 60_000)).toMatchObject({ state: 'dies', detail: 'ends the process (SIGABRT)' });
    expect(outcomeOf({ ...END, stderr: 'fatal error: out of order\nbye\n' }, 60_000).detail).toBe(
      'ends the process (SIGABRT): fatal error: out of order',
    );
    expect(outcomeOf({ ...END, timedOut: true }, 60_000)).toMatchObject({
      state: 'hangs',
      detail: 'no answer within 60 s',
    });
  });

  it('is one line of bounded length that moves no cursor', () => {
    const { detail } = outcomeOf(
      { ...END, message: { ...missing, detail: `\u001B[2J\n${'x'.repeat(999)}` } },
      1,
    );
    expect(detail).toMatch(/^\\u001b\[2J x{200,300}…$/);
  });

  it('is nothing that a package has sent in its place', () => {
    for (const message of ['works', { state: 'works' }, { ...missing, state: 'splendid' }, null]) {
      expect(outcomeOf({ ...END, message }, 1).state).toBe('fails');
    }
  });

  it('names the library that the loader did not find, unless the device works without', () => {
    const stderr =
      'Failed to load: libcudnn.so.9: cannot open shared object file: No such file or directory\n';
    expect(outcomeOf({ ...END, message: missing, stderr }, 1).lacks).toBe('libcudnn.so.9');
    expect(outcomeOf({ ...END, message: { ...missing, state: 'works' }, stderr }, 1).lacks).toBeNull();
  });
});

describe('onnxruntime', () => {
  it('computes on the processor', async () => {
    const outcome = await probe({ engine: 'onnxruntime', device: 'cpu' });
    expect(outcome).toMatchObject({ state: 'works', detail: null, lacks: null });
  });

  const cuda = existsSync('/proc/driver/nvidia/version');
  it.skipIf(cuda)(
    titleNeeding('a machine without GPU', !cuda, 'names the CUDA provider that is missing'),
    async () => {
      const outcome = await probe({ engine: 'onnxruntime', device: 'cuda:0' });
      expect(outcome.state).toBe('missing');
      expect(outcome.lacks).toMatch(/^lib(onnxruntime_providers_|cu)/);
    },
  );

  const chromium = '/usr/lib/chromium';
  const icd = join(chromium, 'vk_swiftshader_icd.json');
  it.skipIf(!existsSync(icd))(
    titleNeeding("Chromium's SwiftShader", existsSync(icd), 'computes by WebGPU where Vulkan has a device'),
    async () => {
      const env = { LD_LIBRARY_PATH: chromium, VK_DRIVER_FILES: icd, VK_ICD_FILENAMES: icd };
      expect(await probe({ engine: 'onnxruntime', device: 'webgpu' }, { env })).toMatchObject({
        state: 'works',
      });
    },
  );

  it('refuses a device that it does not know', async () => {
    const outcome = await probe({ engine: 'onnxruntime', device: 'npu' });
    expect(outcome).toMatchObject({ state: 'missing' });
    expect(outcome.detail).toContain('npu');
  });
});

describe('a TensorFlow that is no good', () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'imagemill-doctor-'))));
  afterEach(() => rmSync(root, { recursive: true }));

  function taskFor(script: string): ProbeTask {
    writeFakeTensorflow(root, script);
    const candidate = findLibraries(root).find(({ origin }) => origin === 'built');
    if (candidate?.fault !== null) throw new Error(`expected a candidate, got ${candidate?.fault}`);
    return { engine: 'tensorflow', candidate: { ...candidate, fault: null } };
  }

  it.each([
    ['aborts', "process.kill(process.pid, 'SIGABRT')", 'dies', 'ends the process (SIGABRT)'],
    ['exits', 'process.exit(3)', 'dies', 'ends the process (exit code 3)'],
    ['exits as if all were well', 'process.exit(0)', 'dies', 'ends the process (exit code 0)'],
    ['throws', "throw new Error('libtensorflow is too old')", 'missing', 'libtensorflow is too old'],
    ['exports nonsense', 'console.log("\\u0007 works!"); module.exports = {}', 'missing', 'not a function'],
    [
      'computes elsewhere',
      "module.exports = { backend: () => ({}), getBackend: () => 'cpu' }",
      'missing',
      'its backend is "cpu"',
    ],
    ['answers for itself', "process.send('works'); for (;;);", 'fails', 'makes no sense'],
  ])('%s', async (_, script, state, detail) => {
    const outcome = await probe(taskFor(script));
    expect(outcome.state).toBe(state);
    expect(outcome.detail).toContain(detail);
  });

  it('hangs, and is ended', async () => {
    const outcome = await probe(taskFor('for (;;);'), { limitMs: 3_000 });
    expect(outcome).toMatchObject({ state: 'hangs', detail: 'no answer within 3 s' });
  });

  it('is ended when the command is interrupted', async () => {
    const controller = new AbortController();
    const outcome = probe(taskFor('for (;;);'), { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('SIGINT')), 500);
    await expect(outcome).rejects.toThrow('SIGINT');
  });

  it('does not learn what is none of its business', async () => {
    const script =
      "throw new Error(String(process.env.REDIS_URL ?? process.env.IMAGEMILL_TOKEN ?? 'nothing'))";
    const env = { REDIS_URL: 'redis://u:secret@h', IMAGEMILL_TOKEN: 'secret' };
    expect((await probe(taskFor(script), { env })).detail).toBe('nothing');
  });
});
