import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { MicroBatch, TrainerSpec } from '../trainer.ts';
import type { Shape4D, StagedPixels } from './kernels.ts';
import type { Runtime } from './network.ts';
import type { Part } from './row-parts.ts';

type Pixels = Pick<MicroBatch, 'images' | 'mirrored'>;

/** Pixels of micro-batches on their way to the device: those that come next, and those that are asked for. */
export class PixelStaging {
  readonly #runtime: Runtime;
  readonly #spec: TrainerSpec;
  readonly #staged = new Map<Uint8Array, StagedPixels>();

  constructor(runtime: Runtime, spec: TrainerSpec) {
    this.#runtime = runtime;
    this.#spec = spec;
  }

  /** A whole micro-batch. Its bytes must not change until they are taken or let go. */
  stage({ images }: Pixels): void {
    try {
      this.#staged.set(images, this.#copy(images, { first: 0, rows: this.#spec.microBatchSize }));
    } catch {
      // Training on it will say why.
    }
  }

  letGo({ images }: Pixels): void {
    this.#staged.get(images)?.dispose();
    this.#staged.delete(images);
  }

  /** (rows, H, W, 3) float32 on the device, 0..255, mirrored where they shall be. */
  take(pixels: Pixels, part: Part): Tensor4D {
    const { images, mirrored } = pixels;
    const whole = part.rows === this.#spec.microBatchSize ? this.#staged.get(images) : undefined;
    if (whole === undefined) this.letGo(pixels);
    else this.#staged.delete(images);
    const flags = mirrored?.subarray(part.first, part.first + part.rows) ?? null;
    return (whole ?? this.#copy(images, part)).take(flags);
  }

  dispose(): void {
    for (const staged of this.#staged.values()) staged.dispose();
    this.#staged.clear();
  }

  #copy(images: Uint8Array, { first, rows }: Part): StagedPixels {
    const { height, width } = this.#spec.architecture.input;
    const itemSize = height * width * 3;
    const shape: Shape4D = [rows, height, width, 3];
    return this.#runtime.kernels.stage(images.subarray(first * itemSize, (first + rows) * itemSize), shape);
  }
}
