import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSettings } from '../../src/config/environment.ts';
import { VERSION } from '../../src/config/version.ts';
import { doctorReportDocument, type DoctorReport } from '../../src/contract/doctor-report.ts';
import { findLibraries } from '../../src/pipeline/engine/tensorflow/find-library.ts';
import { runCli, startCli } from '../support/cli.ts';
import { writeFakeTensorflow } from '../support/fake-tensorflow.ts';
import { titleNeeding } from '../support/needs.ts';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'imagemill-doctor-'))));
afterEach(() => rmSync(root, { recursive: true }));

const doctor = (env: Record<string, string> = {}, ...more: string[]) =>
  runCli(['doctor', ...more], { IMAGEMILL_TENSORFLOW: root, ...env });

async function report(env: Record<string, string> = {}): Promise<DoctorReport> {
  const { code, stdout, stderr } = await doctor(env, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return doctorReportDocument.parse(JSON.parse(stdout), 'stdout');
}

const built = ({ tensorflow }: DoctorReport) =>
  tensorflow.candidates.find(({ origin }) => origin === 'built');
/** What npm has installed beside imagemill is found whatever the directory. */
const installed = findLibraries(undefined).length > 0;

describe('imagemill doctor', () => {
  it.skipIf(installed)(
    titleNeeding('a machine without TensorFlow', !installed, 'says what is missing and how to get it'),
    async () => {
      const { code, stdout, stderr } = await doctor();
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/^imagemill {4}\d+\.\d+\.\d+, Node \d+/);
      expect(stdout).toMatch(/^ {2}cpu +works \(\d+\.\d s\)$/m);
      expect(stdout).toMatch(/^tensorflow +none in .*\n +npm run setup:tensorflow builds one/m);
      expect(stdout).toMatch(/^ {2}--engine tensorflow +computes nothing/m);
      expect(stdout).toMatch(/^to mend\n( .*\n)*? {4}npm run setup:tensorflow/m);
    },
  );

  it('prints one document with facts of this machine', async () => {
    const found = await report();
    expect(found).toMatchObject({
      version: VERSION,
      node: process.versions.node,
      platform: process.platform,
    });
    expect(found.onnxruntime.version).toMatch(/^1\.\d+\.\d+$/);
    expect(found.onnxruntime.devices[0]).toMatchObject({ device: 'cpu', state: 'works', detail: null });
    expect(found.decoder).toEqual({
      sharp: expect.stringMatching(/^\d/),
      libvips: expect.stringMatching(/^\d/),
    });
    expect(found.verdict.onnxruntime.trainsOn).toBe('cpu');
    expect(found.tensorflow.directory).toBe(root);
  });

  it('says that a build was interrupted', async () => {
    writeFakeTensorflow(root, '', false);
    const candidate = built(await report());
    expect(candidate).toMatchObject({ version: '4.22.0', state: 'missing', tensorflow: null });
    expect(candidate?.detail).toBe(`half-built in ${root}: npm run setup:tensorflow builds it again`);
  });

  it('outlives a TensorFlow that ends its process, which workers would not', async () => {
    writeFakeTensorflow(root, "process.kill(process.pid, 'SIGABRT')");
    const found = await report();
    expect(built(found)).toMatchObject({ state: 'dies', detail: 'ends the process (SIGABRT)' });
    if (installed) return;
    expect(found.verdict.tensorflow.fault).toBe('@tensorflow/tfjs-node (built): ends the process (SIGABRT)');
    expect(found.remedies.map(({ command }) => command).join()).toContain('npm run setup:tensorflow');
  });

  it('lets a TensorFlow that prints speak for itself nowhere', async () => {
    writeFakeTensorflow(root, 'console.log("{}"); console.error("works"); module.exports = {};');
    expect(built(await report())).toMatchObject({ state: 'missing', tensorflow: null });
  });

  it('fails where ONNX Runtime does not compute on the processor, and still tells the rest', async () => {
    const preload = join(root, 'preload.cjs');
    writeFileSync(preload, "if (/probe-main/.test(process.argv[1])) process.kill(process.pid, 'SIGILL');");
    const { code, stdout } = await doctor({ NODE_OPTIONS: `--require ${preload}` });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {2}cpu +ends the process \(SIGILL\)$/m);
    expect(stdout).toMatch(/--engine onnxruntime +computes nothing \(cpu: ends the process \(SIGILL\)\)/);
    expect(stdout).toMatch(/^to mend\n {2}onnxruntime does not compute: install it again\n {4}npm ci$/m);
  });

  it('names a Redis that does not answer, without its password', async () => {
    const { code, stdout } = await doctor({ REDIS_URL: 'redis://u:secret@127.0.0.1:1' });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^redis .*127\.0\.0\.1:1/m);
    expect(stdout).not.toContain('secret');
  });

  it('ends when it is interrupted, and what it tries with it', async () => {
    const started = join(root, 'started');
    writeFakeTensorflow(
      root,
      `require('node:fs').writeFileSync(${JSON.stringify(started)}, String(process.pid)); for (;;);`,
    );
    const { child, result } = startCli(['doctor'], { IMAGEMILL_TENSORFLOW: root });
    while (!existsSync(started) || readFileSync(started, 'utf8') === '') await sleep(20);
    child.kill('SIGINT');
    expect(await result).toMatchObject({ code: 130, stdout: '' });
    expect(() => process.kill(Number(readFileSync(started, 'utf8')), 0)).toThrow('ESRCH');
  });

  const { tensorflowDirectory } = readSettings(process.env).worker;
  const native =
    existsSync(join(tensorflowDirectory, 'built.json')) &&
    findLibraries(tensorflowDirectory).some(({ origin, fault }) => origin === 'built' && fault === null);
  it.skipIf(!native)(
    titleNeeding('native TensorFlow', native, 'computes with the TensorFlow that was built'),
    async () => {
      const found = await report({ IMAGEMILL_TENSORFLOW: tensorflowDirectory });
      expect(built(found)).toMatchObject({
        state: 'works',
        tensorflow: expect.stringMatching(/^2\.\d+\.\d+/),
      });
      expect(found.verdict.tensorflow).toMatchObject({ labelsOn: expect.any(String), fault: null });
    },
  );
});

it('knows the entry of its processes when it is built', () => {
  const entry = '../../dist/pipeline/engine/doctor/probe-main.js';
  expect(existsSync(fileURLToPath(new URL(entry, import.meta.url)))).toBe(true);
});
