import type { Tensor } from 'onnxruntime-node';
import { ImagemillError } from '../../../contract/errors.ts';
import { compilePreview } from '../../model/onnx/training/compile-preview.ts';
import { TENSOR } from '../../model/onnx/training/training-network.ts';
import { STANDARD_FORM } from '../../model/onnx/training/convolution-form.ts';
import type { BatchColour, TrainerSpec } from '../trainer.ts';
import { createSession, imageTensor, runInPlace } from './session.ts';

/**
 * A micro-batch after colour augmentation, as the network sees it before normalisation, rounded.
 * @param images (microBatchSize, H, W, 3) uint8
 * @returns the same shape
 */
export async function previewBatch(
  spec: TrainerSpec,
  images: Uint8Array,
  colour: BatchColour,
): Promise<Uint8Array> {
  const rows = spec.microBatchSize;
  const { height, width } = spec.architecture.input;
  const graph = compilePreview({ ...spec, form: STANDARD_FORM });
  const { session, runtime } = await createSession(graph, { device: 'cpu', threads: 1 });
  try {
    const shape = [rows, height, width, 3] as const;
    const size = rows * height * width * 3;
    if (images.length < size) throw new ImagemillError('INTERNAL', `expected ${size} bytes of pixels`);
    const { Tensor } = runtime;
    const feeds: Record<string, Tensor> = {
      [TENSOR.images]: imageTensor(runtime, images.subarray(0, size), shape),
    };
    if (spec.colour) {
      feeds[TENSOR.matrices] = new Tensor('float32', colour.matrices, [rows, 3, 3]);
      feeds[TENSOR.greyShifts] = new Tensor('float32', colour.greyShifts, [rows]);
      feeds[TENSOR.shifts] = new Tensor('float32', colour.shifts, [rows, 3]);
    }
    const pixels = new Uint8Array(size);
    await runInPlace(session, feeds, { preview: imageTensor(runtime, pixels, shape) });
    return pixels;
  } finally {
    await session.release();
  }
}
