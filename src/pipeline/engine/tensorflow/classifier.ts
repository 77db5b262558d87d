import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { ImagemillError } from '../../../contract/errors.ts';
import type { Preprocessing } from '../../../contract/model-card.ts';
import { embeddingSize, type Architecture } from '../../model/architecture.ts';
import { atCropSize } from '../../model/export-input.ts';
import { CROPS_PER_ITEM, type CompileOptions } from '../../model/onnx/classifier-ends.ts';
import type { StateDict } from '../../model/weights/state-dict.ts';
import type { Classification, Classifier, ClassifierGeometry } from '../engine.ts';
import { asEngineError } from './errors.ts';
import { TensorflowNetwork, type Runtime } from './network.ts';
import { normalisePixels } from './pixels.ts';
import { RowParts, type Part } from './row-parts.ts';

export interface ClassifierModel {
  readonly architecture: Architecture;
  readonly weights: StateDict;
  readonly preprocessing: Preprocessing;
  readonly options: CompileOptions;
}

/** A classifier on TensorFlow; its weights stay on the device. Creating it and every call block the thread. */
export class TensorflowClassifier implements Classifier {
  readonly geometry: ClassifierGeometry;
  readonly #runtime: Runtime;
  readonly #network: TensorflowNetwork;
  readonly #preprocessing: Preprocessing;
  readonly #parts: RowParts;

  /**
   * @param onNotice hears in one line of what is done otherwise than asked
   * @throws ImagemillError ENGINE_FAILED, ENGINE_OUT_OF_MEMORY
   */
  constructor(
    runtime: Runtime,
    { architecture, weights, preprocessing, options }: ClassifierModel,
    onNotice: (text: string) => void,
  ) {
    const { batchSize } = options;
    this.#parts = new RowParts(batchSize, (rows) =>
      onNotice(
        `out of device memory: from now on ${rows} of the ${batchSize} images of a batch go through at a time`,
      ),
    );
    this.#runtime = runtime;
    this.#preprocessing = preprocessing;
    const cropped = atCropSize(architecture, preprocessing);
    try {
      this.#network = new TensorflowNetwork(runtime, cropped, weights, null);
    } catch (error) {
      throw asEngineError(error);
    }
    this.geometry = {
      batchSize,
      fixedBatch: false,
      height: preprocessing.crop.height,
      width: preprocessing.crop.width,
      cropsPerItem: CROPS_PER_ITEM[options.crops],
      topK: Math.min(options.topK, architecture.classes),
      embeddingSize: options.embeddings ? embeddingSize(cropped) : null,
    };
  }

  async classify(slab: Uint8Array, count: number): Promise<Classification> {
    const { batchSize } = this.geometry;
    if (!Number.isInteger(count) || count < 1 || count > batchSize) {
      throw new ImagemillError('ENGINE_FAILED', `expected 1 to ${batchSize} items in a batch, got ${count}`);
    }
    const size = count * this.#itemBytes;
    if (slab.length < size) {
      throw new ImagemillError(
        'ENGINE_FAILED',
        `expected a slab of ${size} bytes or more, got ${slab.length}`,
      );
    }
    try {
      const parts = this.#parts.run(
        count,
        (part) => this.#classify(slab, part),
        () => {},
      );
      return joined(parts);
    } catch (error) {
      throw asEngineError(error);
    }
  }

  async close(): Promise<void> {
    this.#network.dispose();
  }

  /** Bytes of an item's crops in a slab. */
  get #itemBytes(): number {
    const { cropsPerItem, height, width } = this.geometry;
    return cropsPerItem * height * width * 3;
  }

  #classify(slab: Uint8Array, { first, rows: count }: Part): Classification {
    const { tf } = this.#runtime;
    const { topK, embeddingSize } = this.geometry;
    const outputs = tf.tidy(() => {
      const bytes = slab.subarray(first * this.#itemBytes, (first + count) * this.#itemBytes);
      const input = this.#input(bytes, count);
      let embedding: Tensor2D | null = null;
      const { logits } = this.#network.forward(input, {
        rows: input.shape[0],
        mask: null,
        gradientsFrom: this.#network.stages.length,
        ...(embeddingSize === null
          ? {}
          : { onEmbedding: (tensor) => (embedding = this.#averageCrops(tensor, count)) }),
      });
      const probabilities = this.#averageCrops(tf.softmax(logits), count);
      const { values, indices } = tf.topk(probabilities, topK, true);
      return [indices, values, ...(embedding === null ? [] : [embedding])] as Tensor[];
    });
    const [ids, scores, embeddings] = outputs.map((tensor) => {
      const data = tensor.dataSync();
      tensor.dispose();
      return data;
    });
    return {
      ids: Int32Array.from(ids ?? []),
      scores: Float32Array.from(scores ?? []),
      embeddings: embeddings === undefined ? null : Float32Array.from(embeddings),
    };
  }

  /** (rows, H, W, 3): with ten crops the mirrored rows follow the plain ones. */
  #input(slab: Uint8Array, count: number): Tensor4D {
    const { tf, kernels } = this.#runtime;
    const { cropsPerItem, height, width } = this.geometry;
    let pixels = kernels.stage(slab, [count * cropsPerItem, height, width, 3]).take(null);
    if (cropsPerItem === 5) pixels = tf.concat4d([pixels, tf.reverse4d(pixels, 2)], 0);
    // `mean` and `std` are in the order of `channelOrder`.
    if (this.#preprocessing.channelOrder === 'bgr') pixels = tf.reverse4d(pixels, 3);
    return normalisePixels(this.#runtime, pixels, this.#preprocessing);
  }

  /** (2 × N × 5, size) → (N, size): rows are mirror, item, crop. */
  #averageCrops(rows: Tensor2D, count: number): Tensor2D {
    const { tf } = this.#runtime;
    const [, size] = rows.shape;
    if (this.geometry.cropsPerItem === 1) return tf.reshape(rows, [count, size]);
    return tf.mean(tf.reshape(rows, [2, count, 5, size]), [0, 2]) as Tensor2D;
  }
}

/** Rows of the parts one after the other. */
function joined(parts: readonly Classification[]): Classification {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const embeddings = parts.flatMap((part) => (part.embeddings === null ? [] : [part.embeddings]));
  return {
    ids: concatenated(
      parts.map(({ ids }) => ids),
      (size) => new Int32Array(size),
    ),
    scores: concatenated(
      parts.map(({ scores }) => scores),
      (size) => new Float32Array(size),
    ),
    embeddings: embeddings.length === 0 ? null : concatenated(embeddings, (size) => new Float32Array(size)),
  };
}

function concatenated<T extends Int32Array | Float32Array>(
  pieces: readonly T[],
  create: (size: number) => T,
): T {
  const all = create(pieces.reduce((size, piece) => size + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return all;
}
