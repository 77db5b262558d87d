/** imagemill as a dependency of a project that has installed TensorFlow.js for Node itself. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doctorReportDocument, type DoctorReport } from '../../src/contract/doctor-report.ts';
import { findLibraries } from '../../src/pipeline/engine/tensorflow/find-library.ts';
import { titleNeeding } from '../support/needs.ts';
import { NATIVE_TENSORFLOW, tensorflowDirectory } from '../pipeline/engine/tensorflow-here.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGE = '@tensorflow/tfjs-node';
const here = findLibraries(tensorflowDirectory).find(
  ({ package: name, fault }) => name === PACKAGE && fault === null,
);

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'imagemill-installed-'));
  const own = join(project, 'node_modules', 'imagemill');
  mkdirSync(own, { recursive: true });
  for (const part of ['dist', 'package.json']) cpSync(join(ROOT, part), join(own, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(own, 'node_modules'));
  mkdirSync(join(project, 'node_modules', '@tensorflow'));
});
afterEach(() => rmSync(project, { recursive: true }));

async function report(): Promise<DoctorReport> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(project, 'node_modules/imagemill/dist/cli.js'), 'doctor', '--json'],
    { env: { PATH: process.env['PATH'] ?? '', IMAGEMILL_TENSORFLOW: join(project, 'nothing-built') } },
  );
  return doctorReportDocument.parse(JSON.parse(stdout), 'stdout');
}

describe('imagemill doctor, where tfjs-node is installed beside imagemill', () => {
  it.skipIf(here === undefined)(
    titleNeeding(NATIVE_TENSORFLOW, here !== undefined, 'has it compute, and says that workers take it'),
    { timeout: 60_000 },
    async () => {
      symlinkSync(here?.directory ?? '', join(project, 'node_modules', PACKAGE));
      const { tensorflow, verdict, remedies } = await report();
      expect(tensorflow.candidates).toMatchObject([
        { package: PACKAGE, origin: 'installed', version: '4.22.0', state: 'works', usesGpu: false },
      ]);
      expect(verdict.tensorflow).toEqual({ labelsOn: 'cpu', trainsOn: 'cpu', fault: null });
      expect(remedies.filter(({ what }) => what.includes('TensorFlow'))).toEqual([]);
    },
  );

  it.skipIf(here === undefined)(
    titleNeeding(NATIVE_TENSORFLOW, here !== undefined, 'says that npm has not fetched its binding'),
    { timeout: 60_000 },
    async () => {
      const place = join(project, 'node_modules', PACKAGE);
      mkdirSync(place);
      cpSync(join(here?.directory ?? '', 'package.json'), join(place, 'package.json'));
      const { tensorflow, verdict, remedies } = await report();
      expect(tensorflow.candidates).toMatchObject([
        {
          origin: 'installed',
          state: 'missing',
          detail: `its binding was not installed: npm rebuild ${PACKAGE}, or npm run setup:tensorflow`,
        },
      ]);
      expect(verdict.tensorflow.fault).toBe('no TensorFlow that is here loads');
      expect(remedies.map(({ command }) => command)).toContain('npm run setup:tensorflow');
    },
  );
});
