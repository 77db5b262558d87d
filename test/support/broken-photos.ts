import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './program.ts';
import { tinyPng, type Workspace } from './workspace.ts';

/** Name of a photo: names sort as their numbers do. */
export const photoName = (index: number) => `${String(index).padStart(5, '0')}.png`;
export const photoNames = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, offset) => photoName(from + offset));

/** Makes a folder of images, of which those from number `whole` on are broken. @returns the folder */
export async function makePhotos(
  { folder }: Workspace,
  name: string,
  count: number,
  whole: number,
): Promise<string> {
  const photos = join(folder, name);
  mkdirSync(photos);
  const png = await tinyPng(1);
  for (let index = 0; index < count; index += 1) {
    writeFileSync(join(photos, photoName(index)), index < whole ? png : 'a page of text');
  }
  return photos;
}

export async function repairPhotos(photos: string, ...indices: number[]): Promise<void> {
  const png = await tinyPng(1);
  for (const index of indices) writeFileSync(join(photos, photoName(index)), png);
}

/** Arguments that label photos into `out`. */
export function classifyArgs(workspace: Workspace, photos: string, out: string, shardSize: number): string[] {
  return ['classify', photos, '--model', workspace.model, '--out', out, '--json', '--device', 'cpu'].concat([
    '--shard-size',
    String(shardSize),
    '--format',
    'jsonl',
  ]);
}

export const retryArgs = (out: string) => ['retry', out, '--failed', '--json', '--device', 'cpu'];

/** Names of the photos that `results` lists, in its order; the command runs in this process. */
export async function listedPhotos(
  { env }: Workspace,
  out: string,
  ...more: readonly string[]
): Promise<string[]> {
  const { stdout } = await runProgram(['results', out, ...more], env);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { uri: string }).uri.split('/').at(-1) ?? '');
}

/** Names of a folder's entries, sorted; none where there is no folder. */
export function namesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .toSorted();
}
