import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { ImagemillError } from '../../../contract/errors.ts';
import type { Classification, Classifier, ClassifierGeometry, ClassifierGraph } from '../engine.ts';
import { createSession, imageTensor, runSession, type OnnxSession, type SessionOptions } from './session.ts';

/** A classifier on ONNX Runtime. Creating it and every call block the thread. */
export class OnnxruntimeClassifier implements Classifier {
  readonly geometry: ClassifierGeometry;
  readonly #session: InferenceSession;
  readonly #runtime: OnnxSession['runtime'];

  private constructor(created: OnnxSession, geometry: ClassifierGeometry) {
    this.#session = created.session;
    this.#runtime = created.runtime;
    this.geometry = geometry;
  }

  /** @throws ImagemillError ENGINE_UNAVAILABLE, ENGINE_FAILED */
  static async create(graph: ClassifierGraph, options: SessionOptions): Promise<OnnxruntimeClassifier> {
    const { onnx, ...geometry } = graph;
    return new OnnxruntimeClassifier(await createSession(onnx, options), geometry);
  }

  /**
   * @param slab (batchSize × cropsPerItem, H, W, 3) uint8 NHWC; shorter is fine where the batch is not fixed
   * @throws ImagemillError ENGINE_FAILED
   */
  async classify(slab: Uint8Array, count: number): Promise<Classification> {
    const { batchSize, fixedBatch, cropsPerItem, height, width } = this.geometry;
    if (!Number.isInteger(count) || count < 1 || count > batchSize) {
      throw new ImagemillError('ENGINE_FAILED', `expected 1 to ${batchSize} items in a batch, got ${count}`);
    }
    const rows = (fixedBatch ? batchSize : count) * cropsPerItem;
    const size = rows * height * width * 3;
    if (slab.length < size) {
      throw new ImagemillError(
        'ENGINE_FAILED',
        `expected a slab of ${size} bytes or more, got ${slab.length}`,
      );
    }
    const images = imageTensor(this.#runtime, slab.subarray(0, size), [rows, height, width, 3]);
    return this.#rowsOf(await runSession(this.#session, images), count);
  }

  async close(): Promise<void> {
    await this.#session.release();
  }

  /** The first `count` rows of the outputs, which come in the fixed order ids, scores, embedding. */
  #rowsOf(outputs: readonly Tensor[], count: number): Classification {
    const { topK, embeddingSize } = this.geometry;
    const [ids, scores, embedding] = outputs.map(({ data }) => data);
    const isComplete = ids instanceof Int32Array && scores instanceof Float32Array;
    if (!isComplete || (embeddingSize !== null && !(embedding instanceof Float32Array))) {
      throw new ImagemillError(
        'ENGINE_FAILED',
        `expected the outputs ids, scores and embedding, got ${outputs.map(({ type }) => type).join(', ')}`,
      );
    }
    return {
      ids: firstRows(ids, count, topK),
      scores: firstRows(scores, count, topK),
      embeddings:
        embeddingSize !== null && embedding instanceof Float32Array
          ? firstRows(embedding, count, embeddingSize)
          : null,
    };
  }
}

/** The array itself where nothing has to be cut off: its buffer can then be transferred as a whole. */
function firstRows<T extends Int32Array | Float32Array>(data: T, count: number, size: number): T {
  const length = count * size;
  if (data.length < length) {
    throw new ImagemillError('ENGINE_FAILED', `expected ${length} values of an output, got ${data.length}`);
  }
  return (data.length === length ? data : data.slice(0, length)) as T;
}
