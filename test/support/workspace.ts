import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createArchitecture } from '../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../src/pipeline/model/init.ts';
import { METADATA_KEYS } from '../../src/pipeline/model/model-metadata.ts';
import { writeSafetensors } from '../../src/pipeline/model/weights/safetensors.ts';
import { encodePng } from '../../src/pipeline/decode/encode-png.ts';

/** A temporary folder with images, a small model, and an index of runs of its own. */
export interface Workspace {
  readonly folder: string;
  readonly images: string;
  readonly model: string;
  /** Environment for commands: the index of runs stays inside the folder. */
  readonly env: Record<string, string>;
  remove(): void;
}

/** Bytes of a small alexnet-small from a seed: 10 classes named after digits. */
export function smallModel(classes = 10, seed = 0): Uint8Array {
  const architecture = createArchitecture('alexnet-small', { classes });
  return writeSafetensors(initialiseWeights(architecture, seed), {
    [METADATA_KEYS.architecture]: architecture.name,
    [METADATA_KEYS.labels]: JSON.stringify(Array.from({ length: classes }, (_, id) => `class-${id}`)),
  });
}

/** A small picture that differs from every other index. */
export function tinyPng(index: number): Promise<Uint8Array> {
  const side = 8;
  const pixels = Uint8Array.from(
    { length: side * side * 3 },
    (_, at) => (at * 31 + index * 97 + (index >> 8) * 13) % 256,
  );
  return encodePng(pixels, { width: side, height: side, channels: 3 });
}

export async function createWorkspace(imageCount: number): Promise<Workspace> {
  const folder = mkdtempSync(join(tmpdir(), 'imagemill-test-'));
  const images = join(folder, 'images');
  mkdirSync(images);
  const distinct = await Promise.all(Array.from({ length: Math.min(imageCount, 512) }, (_, i) => tinyPng(i)));
  for (let index = 0; index < imageCount; index += 1) {
    const png = distinct[index % distinct.length];
    if (png !== undefined) writeFileSync(join(images, `${String(index).padStart(6, '0')}.png`), png);
  }
  const model = join(folder, 'model.safetensors');
  writeFileSync(model, smallModel());
  return {
    folder,
    images,
    model,
    env: { IMAGEMILL_HOME: join(folder, 'home') },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
