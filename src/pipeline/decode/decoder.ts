import type { Preprocessing } from '../../contract/model-card.ts';

/** Explicit limits on what an image may cost. */
export interface DecodeLimits {
  /** Bytes of the encoded object. */
  readonly maxBytes: number;
  /** Width × height of the encoded image. */
  readonly maxPixels: number;
  /** Wall time of one decode. */
  readonly timeoutMs: number;
}

export const DEFAULT_DECODE_LIMITS: DecodeLimits = {
  maxBytes: 64 * 1024 * 1024,
  maxPixels: 100_000_000,
  timeoutMs: 30_000,
};

export interface DecodedImage {
  /** Pixels of the image as shown (after EXIF rotation), before resizing. */
  readonly width: number;
  readonly height: number;
}

/** Turns encoded bytes into model input. One implementation per library; a composite may choose by format. */
export interface Decoder {
  /**
   * Decodes, resizes and crops `bytes` into `target`, always as RGB: the graph swaps channels where a model wants BGR.
   * After IMAGE_TIMEOUT the library may still be reading `bytes`: they must not be written to or transferred.
   * @param target (crops, H, W, 3) uint8: 1 crop (centre), or 5 (top-left, top-right, bottom-left, bottom-right, centre)
   * @param onTurn called when the image's turn has come, after other images
   * @throws ImageError IMAGE_EMPTY, IMAGE_FORMAT_UNKNOWN, IMAGE_TRUNCATED, IMAGE_CORRUPT, IMAGE_TOO_MANY_BYTES,
   *   IMAGE_TOO_MANY_PIXELS, IMAGE_TIMEOUT
   */
  decode(
    bytes: Uint8Array,
    preprocessing: Preprocessing,
    target: Uint8Array,
    onTurn?: () => void,
  ): Promise<DecodedImage>;
}
