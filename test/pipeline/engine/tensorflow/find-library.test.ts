import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findLibraries } from '../../../../src/pipeline/engine/tensorflow/find-library.ts';
import { writeFakeTensorflow } from '../../../support/fake-tensorflow.ts';

const GPU = '@tensorflow/tfjs-node-gpu';
const CPU = '@tensorflow/tfjs-node';

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'imagemill-libraries-'))));
afterEach(() => rmSync(root, { recursive: true }));

/** What npm has installed beside this project is not of this test. */
const built = () => findLibraries(root).filter(({ origin }) => origin === 'built');

describe('findLibraries', () => {
  it('finds nothing where nothing was built, or nobody says where', () => {
    expect(built()).toEqual([]);
    expect(findLibraries(undefined).filter(({ origin }) => origin === 'built')).toEqual([]);
  });

  it('finds what setup:tensorflow has built', () => {
    writeFakeTensorflow(root, '');
    const directory = join(root, 'node_modules', CPU);
    expect(built()).toEqual([{ package: CPU, origin: 'built', directory, version: '4.22.0', fault: null }]);
  });

  it('has the package for GPUs first, and knows which of two the build is of', () => {
    writeFakeTensorflow(root, '');
    writeFakeTensorflow(root, '', true, GPU);
    expect(built().map(({ package: name, fault }) => [name, fault])).toEqual([
      [GPU, null],
      [CPU, `${root} holds a build of ${GPU}`],
    ]);
  });

  it.each([
    [
      'was interrupted',
      (place: string) => rmSync(join(place, 'built.json')),
      /^half-built in .*builds it again$/,
    ],
    [
      'has notes of another kind',
      (place: string) => writeFileSync(join(place, 'built.json'), '{"schema":2}'),
      /^half-built in /,
    ],
    [
      'has lost its binding',
      (place: string) => rmSync(join(place, 'node_modules', CPU, 'lib'), { recursive: true }),
      /^its binding is gone from .*builds it again$/,
    ],
  ])('says of a build that it %s', (_, damage, fault) => {
    writeFakeTensorflow(root, '');
    damage(root);
    expect(built()).toMatchObject([{ fault: expect.stringMatching(fault) as string }]);
  });
});
