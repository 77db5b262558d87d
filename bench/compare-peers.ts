/** Others that do the same work on the same photos. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lastJson, runChild } from './child.ts';
import { CACHE, CORES, ROOT } from './machine.ts';
import type { BenchModel } from './models.ts';

/** Debian's interpreter: the one that sees python3-torch. */
const PYTHON = '/usr/bin/python3';
/** torch with the reference BLAS needs four times as long: that would be no comparison. */
const PYTHON_CHECK = `
import torch, torchvision, PIL
assert torch.backends.mkl.is_available() or 'openblas' in open('/proc/self/maps').read()
`;
const TRANSFORMERS_BATCH_SIZES = [1, 16];
const TORCHVISION_WORKERS = [0, 1, 2];
/** Images on which settings of a peer are compared before the measurement proper. */
const TRIAL_IMAGES = 320;

export interface PeerResult {
  readonly images: number;
  readonly seconds: number;
  /** Best class of every image. */
  readonly ids: number[];
}

export interface Peer {
  readonly name: string;
  /** The setting that was the fastest in the trial. */
  readonly setting: string;
  readonly trial: Record<string, number>;
  run(photos: readonly string[]): Promise<PeerResult>;
}

export type PeerOrReason = Peer | { readonly name: string; readonly skipped: string };

/** Finds out what can be compared with, and with which settings it is the fastest. */
export async function preparePeers(model: BenchModel, photos: readonly string[]): Promise<PeerOrReason[]> {
  const trial = photos.slice(0, TRIAL_IMAGES);
  return [await prepareTransformers(model, trial), await prepareTorchvision(model, trial)];
}

async function prepareTransformers(model: BenchModel, trial: readonly string[]): Promise<PeerOrReason> {
  const name = 'transformers.js';
  if (!existsSync(join(ROOT, 'bench/peers/node_modules/@huggingface/transformers'))) {
    return { name, skipped: 'needs `npm ci` in bench/peers' };
  }
  return fastest(name, 'images a batch', TRANSFORMERS_BATCH_SIZES, trial, (batchSize, photos) =>
    runPeer(process.execPath, [
      'bench/peers/transformers.mjs',
      model.transformersFolder,
      photos,
      String(batchSize),
    ]),
  );
}

async function prepareTorchvision(model: BenchModel, trial: readonly string[]): Promise<PeerOrReason> {
  const name = 'torchvision';
  if (spawnSync(PYTHON, ['-c', PYTHON_CHECK]).status !== 0) {
    return { name, skipped: 'needs python3-torchvision and libopenblas0-pthread' };
  }
  return fastest(name, 'loader processes', TORCHVISION_WORKERS, trial, (workers, photos) =>
    runPeer(PYTHON, [
      'bench/peers/torchvision_peer.py',
      model.safetensors,
      photos,
      String(workers),
      String(CORES),
    ]),
  );
}

async function fastest(
  name: string,
  unit: string,
  settings: readonly number[],
  trial: readonly string[],
  measure: (setting: number, photosFile: string) => Promise<PeerResult>,
): Promise<Peer> {
  const run = async (setting: number, photos: readonly string[]) => {
    const file = join(CACHE, `photos-${process.pid}.txt`);
    await writeFile(file, photos.join('\n'));
    try {
      return await measure(setting, file);
    } finally {
      await rm(file);
    }
  };
  const speeds: Record<string, number> = {};
  let best = { setting: settings[0] ?? 0, speed: 0 };
  for (const setting of settings) {
    const { images, seconds } = await run(setting, trial);
    const speed = images / seconds;
    speeds[`${setting} ${unit}`] = speed;
    if (speed > best.speed) best = { setting, speed };
  }
  return {
    name,
    setting: `${best.setting} ${unit}`,
    trial: speeds,
    run: (photos) => run(best.setting, photos),
  };
}

async function runPeer(command: string, args: readonly string[]): Promise<PeerResult> {
  return lastJson(await runChild(command, args)) as PeerResult;
}
