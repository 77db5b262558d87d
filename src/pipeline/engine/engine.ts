/**
 * Engines execute models. This issue-independent surface has two faces; `Classifier` labels, `Trainer` learns.
 * Nothing here names a library: engines live in folders of their own and are chosen by name.
 */

export const ENGINES = ['onnxruntime', 'tensorflow'] as const;
export type EngineName = (typeof ENGINES)[number];

/** Whether an engine's trainers mirror images on the device; otherwise the decoder does. */
export const MIRRORS_ON_DEVICE: Readonly<Record<EngineName, boolean>> = {
  // A gather over a batch of pixels costs its step more than libvips takes for it, in threads of its own.
  onnxruntime: false,
  tensorflow: true,
};

/** What a batch has to look like, and what comes out. */
export interface ClassifierGeometry {
  /** Items a batch holds at most; the last batch of a shard may hold fewer when `fixedBatch` is false. */
  readonly batchSize: number;
  /** Whether the graph accepts only full batches; short ones are then padded with zeros. */
  readonly fixedBatch: boolean;
  readonly height: number;
  readonly width: number;
  /** Crops that the decoder writes per item: 1 (centre), or 5 for ten-crop evaluation (mirrored in the graph). */
  readonly cropsPerItem: 1 | 5;
  readonly topK: number;
  /** Length of an embedding, or null where none was asked for. */
  readonly embeddingSize: number | null;
}

/** A classifier graph, ready for a session: everything from uint8 pixels to top-k is inside. */
export interface ClassifierGraph extends ClassifierGeometry {
  /** Serialized ONNX ModelProto. Input `images`: (batchSize × decoded crops, H, W, 3) uint8 NHWC. */
  readonly onnx: Uint8Array;
}

/** Outputs of one batch; rows are items in slab order. */
export interface Classification {
  /** (count, topK) int32, row-major: class indices, best first. */
  readonly ids: Int32Array;
  /** (count, topK) float32: softmax probabilities. */
  readonly scores: Float32Array;
  /** (count, embeddingSize) float32, or null. */
  readonly embeddings: Float32Array | null;
}

/** Labels batches. Calls may block the thread: run it in a thread of its own. */
export interface Classifier {
  readonly geometry: ClassifierGeometry;
  /**
   * @param slab (batchSize × cropsPerItem, H, W, 3) uint8 NHWC; rows past `count` are ignored
   * @param count items in the slab, 1..batchSize
   * @throws ImagemillError ENGINE_FAILED
   */
  classify(slab: Uint8Array, count: number): Promise<Classification>;
  close(): Promise<void>;
}
