import sharp from 'sharp';
import { ImagemillError } from '../../contract/errors.ts';

const SVG_LOADER = { operation: ['VipsForeignLoadSvg'] };

/** Drawings in progress: the loader is let in for the first and shut out after the last. */
let drawing = 0;

/**
 * Draws an SVG document of our own as PNG on white, one pixel per unit. The SVG loader, which no image of a collection
 * ever gets to, is switched on for as long as that takes.
 * @throws ImagemillError INTERNAL: not an SVG document that librsvg can draw
 */
export async function renderSvg(svg: string): Promise<Uint8Array> {
  const bytes = Buffer.from(svg);
  drawing += 1;
  sharp.unblock(SVG_LOADER);
  try {
    return await sharp(bytes).flatten({ background: '#ffffff' }).png().toBuffer();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImagemillError(
      'INTERNAL',
      `expected an SVG document that can be drawn, got ${bytes.byteLength} bytes of which libvips says: ${reason}`,
      { cause: error },
    );
  } finally {
    drawing -= 1;
    if (drawing === 0) sharp.block(SVG_LOADER);
  }
}
