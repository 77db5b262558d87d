import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The first `count` JPEGs of a folder, in the order of their names: the order in which everyone labels them. */
export async function listPhotos(folder: string, count: number): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jpg')).sort();
  if (names.length < count) throw new Error(`expected ${count} photos in ${folder}, found ${names.length}`);
  return names.slice(0, count).map((name) => join(folder, name));
}
