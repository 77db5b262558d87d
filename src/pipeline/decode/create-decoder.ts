import type { Decoder } from './decoder.ts';
import { identifyImage } from './identify-image.ts';
import type { ImageFormat } from './image-format.ts';
import { createSharpDecoder } from './sharp-decoder.ts';
import type { DecoderOptions } from './sharp-decoder.ts';

/** The decoder that pipelines use: each format goes to the implementation that is best at it. */
export function createDecoder(options: DecoderOptions): Decoder {
  const sharp = createSharpDecoder(options);
  const byFormat: Record<ImageFormat, Decoder> = {
    jpeg: sharp,
    png: sharp,
    webp: sharp,
    gif: sharp,
    tiff: sharp,
    avif: sharp,
  };
  return {
    decode: async (bytes, preprocessing, target, onTurn) =>
      byFormat[identifyImage(bytes, options.limits)].decode(bytes, preprocessing, target, onTurn),
  };
}
