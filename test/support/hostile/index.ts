import { makeEveryFormat, truncate } from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';
import { disguisedDrawings, impostors } from './impostors.ts';
import { hostileJpegs } from './jpeg.ts';
import { hostileMovies } from './moving.ts';
import { hostilePngs } from './png.ts';
import { hostileTiffs } from './tiff.ts';

const TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/**
 * Files with which to attack a collection, each with what has to become of it; some 30 MB in all.
 * @param server an address that no file may make the pipeline ask
 */
export async function hostileFiles(server: string): Promise<HostileFile[]> {
  return [
    ...(await truncatedFiles()),
    ...(await hostileJpegs()),
    ...(await hostilePngs()),
    ...(await hostileTiffs()),
    ...(await hostileMovies()),
    ...(await impostors()),
    ...disguisedDrawings(server),
  ];
}

/** Every format, cut at every tenth of its bytes. */
async function truncatedFiles(): Promise<HostileFile[]> {
  const formats = Object.entries(await makeEveryFormat({ width: 100, height: 75 }));
  return formats.flatMap(([format, bytes]) =>
    TENTHS.map((share) =>
      hostile(
        `cut-${format.replace(/[^a-z0-9]+/gi, '-')}-${share}.jpg`,
        'IMAGE_TRUNCATED',
        truncate(bytes, share),
      ),
    ),
  );
}
