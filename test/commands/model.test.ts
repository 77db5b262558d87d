import sharp from 'sharp';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/commands/program.ts';
import { loadModel } from '../../src/pipeline/engine/load-model.ts';
import { initialiseWeights } from '../../src/pipeline/model/init.ts';
import { createArchitecture } from '../../src/pipeline/model/architectures.ts';
import { METADATA_KEYS } from '../../src/pipeline/model/model-metadata.ts';
import { readSafetensors, writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { readReference } from '../pipeline/engine/support.ts';
import { smallModel } from '../support/workspace.ts';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'imagemill-model-'));
  writeFileSync(at('small.safetensors'), smallModel());
  writeFileSync(at('foreign.onnx'), readReference('onnx/nchw-dynamic-logits-17.onnx'));
});

afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a command in this process. @returns what it prints */
async function imagemill(...args: string[]): Promise<string> {
  let [printed, code] = ['', -1];
  const process = {
    env: {},
    once: () => process,
    stdout: { isTTY: false, write: (text: string) => (printed += text) },
    stderr: { write: () => true },
  };
  const program = createProgram(process as unknown as NodeJS.Process, (exit) => (code = exit));
  await program.parseAsync(args, { from: 'user' });
  expect(code).toBe(0);
  return printed;
}

const exportSmall = (...args: string[]): Promise<string> =>
  imagemill('model', 'export', at('small.safetensors'), ...args);

describe('model export', () => {
  it.each([
    ['out.safetensors', [], 'alexnet-small'],
    ['OUT.ONNX', [], 'onnx'],
    ['no-extension', ['--format', 'onnx'], 'onnx'],
  ])('writes %s with labels and preprocessing', async (name, more, architecture) => {
    const printed = await exportSmall('--out', at(name), '--crop', '63', '--scale', '0.5', ...more);
    expect(printed).toMatch(
      /: alexnet-small, 10 classes, [\d,]+ parameters, sha256:\w+, as (safetensors|onnx)\n$/,
    );
    const { card } = await loadModel(readFileSync(at(name)), { uri: name });
    expect(card).toMatchObject({ architecture, labelsFrom: 'model', classes: 10 });
    expect(card.labels.slice(0, 2)).toEqual(['class-0', 'class-1']);
    expect(card.preprocessing).toMatchObject({ crop: { height: 63, width: 63 }, scale: 0.5 });
  });

  it.each([
    ['web', ['--format', 'tfjs']],
    ['web-by-slash/', []],
  ])('writes a folder %s for TensorFlow.js', async (name, more) => {
    await exportSmall('--out', at(name), ...more);
    const names = ['group1-shard1of2.bin', 'group1-shard2of2.bin', 'model.json'];
    expect(readdirSync(at(name)).toSorted()).toEqual(names);
    const model = JSON.parse(readFileSync(join(at(name), 'model.json'), 'utf8')) as Record<string, unknown>;
    expect(model['userDefinedMetadata']).toMatchObject({ architecture: 'alexnet-small' });
    const { tensors } = readSafetensors(smallModel(), 'small');
    const values = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    const bytes = names.slice(0, 2).reduce((sum, file) => sum + readFileSync(join(at(name), file)).length, 0);
    expect(bytes).toBe(values * 4);
  });

  it('gives a graph of others labels, and leaves all else as it is', async () => {
    writeFileSync(at('six.txt'), 'a\nb\nc\nd\ne\nf\n');
    await imagemill(
      'model',
      'export',
      at('foreign.onnx'),
      '--out',
      at('again.onnx'),
      '--labels',
      at('six.txt'),
    );
    const before = await loadModel(readFileSync(at('foreign.onnx')), { uri: 'before' });
    const { card } = await loadModel(readFileSync(at('again.onnx')), { uri: 'after' });
    expect(card.labels).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(card.preprocessing).toEqual(before.card.preprocessing);
  });

  it.each<[string, string[], string]>([
    [
      'small.safetensors',
      ['--out', 'alexnet'],
      'expected --out to end in .safetensors, .onnx or / (a folder, for tfjs)',
    ],
    [
      'small.safetensors',
      ['--out', 'a.onnx', '--format', 'tfjs'],
      '--format tfjs: expected a folder as --out, got ',
    ],
    [
      'small.safetensors',
      ['--out', 'web/model.json', '--format', 'tfjs'],
      '--format tfjs: expected a folder',
    ],
    [
      'small.safetensors',
      ['--out', 'web/', '--format', 'onnx'],
      '--format onnx: expected a file .onnx as --out, got ',
    ],
    [
      'foreign.onnx',
      ['--out', 'b.safetensors'],
      'export as safetensors, got an ONNX graph, which can be exported as onnx only',
    ],
    ['foreign.onnx', ['--out', 'c', '--format', 'tfjs'], 'export as tfjs, got an ONNX graph'],
  ])(
    '%s %j is refused in one sentence, and nothing is written',
    async (file, [flag = '', out = '', ...more], message) => {
      const before = readdirSync(folder);
      const attempt = imagemill('model', 'export', at(file), flag, at(out), ...more);
      await expect(attempt).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringContaining(message) as string,
      });
      expect(readdirSync(folder)).toEqual(before);
    },
  );
});

describe('model filters', () => {
  const draw = async (model: string): Promise<{ data: Buffer; width: number; height: number }> => {
    const printed = await imagemill(
      'model',
      'filters',
      at(model),
      '--out',
      at('filters.png'),
      '--upscale',
      '3',
    );
    expect(printed).toBe(`${at('filters.png')}: 16 kernels of 5×5, 70×70 pixels\n`);
    const { data, info } = await sharp(at('filters.png')).raw().toBuffer({ resolveWithObject: true });
    expect(info.channels).toBe(3);
    return { data, width: info.width, height: info.height };
  };

  it('draws the kernels as a grid, in true colours for BGR models too', async () => {
    const architecture = createArchitecture('alexnet-small', { classes: 10 });
    const weights = new Map(initialiseWeights(architecture, 0));
    // The first kernel is blue where the input is RGB: only the weights of its last channel are not zero.
    const kernels = Float32Array.from(weights.get('features.0.weight')?.data ?? []);
    kernels.fill(0, 0, 50).fill(1, 50, 75);
    weights.set('features.0.weight', { shape: [16, 3, 5, 5], data: kernels });
    const bgr = JSON.stringify({ ...architecture.preprocessing, channelOrder: 'bgr' });
    writeFileSync(at('rgb.safetensors'), writeSafetensors(weights));
    writeFileSync(at('bgr.safetensors'), writeSafetensors(weights, { [METADATA_KEYS.preprocessing]: bgr }));
    const rgb = await draw('rgb.safetensors');
    expect([rgb.width, rgb.height]).toEqual([70, 70]);
    const inside = (2 * 70 + 2) * 3;
    expect([...rgb.data.subarray(0, 3)]).toEqual([255, 255, 255]);
    expect([...rgb.data.subarray(inside, inside + 3)]).toEqual([128, 128, 255]);
    const { data } = await draw('bgr.safetensors');
    expect([...data.subarray(inside, inside + 3)]).toEqual([255, 128, 128]);
  });

  it('refuses a graph', async () => {
    await expect(
      imagemill('model', 'filters', at('foreign.onnx'), '--out', at('no.png')),
    ).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('got an ONNX graph') as string,
    });
    expect(existsSync(at('no.png'))).toBe(false);
  });
});
