import sharp from 'sharp';

/** Versions of what decodes images. */
export function decoderVersions(): { readonly sharp: string; readonly libvips: string } {
  return { sharp: sharp.versions.sharp, libvips: sharp.versions.vips };
}
