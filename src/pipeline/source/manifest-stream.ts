import type { ManifestFile } from './manifest-row.ts';

/** Most bytes parsed without giving other work a turn. */
export const PIECE_BYTES = 64 * 1024;

/** The bytes of a manifest from `offset` on; nothing where the manifest ends there. */
export async function* openManifestStream(
  file: ManifestFile,
  offset: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  // A range that starts at the end is refused by stores.
  if (offset >= file.bytes) return;
  yield* await file.store.getStream(file.key, {
    ...(offset === 0 ? {} : { range: { offset, length: file.bytes - offset } }),
    ...(signal === undefined ? {} : { signal }),
  });
}
