/** Recipes that test/reference/model/make-reference.py and make-onnx-models.py know as well. */
import { readFileSync } from 'node:fs';
import type { Classification, ClassifierGraph } from '../../../src/pipeline/engine/engine.ts';
import { createSession, imageTensor, runSession } from '../../../src/pipeline/engine/onnxruntime/session.ts';

export const CPU = { device: 'cpu', threads: 2 } as const;

const REFERENCE = new URL('../../reference/model/', import.meta.url);

export function readReference(path: string): Uint8Array {
  return readFileSync(new URL(path, REFERENCE));
}

export function referenceJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, REFERENCE), 'utf8'));
}

/** Path of a file beside the references. */
export function referencePath(path: string): string {
  return new URL(path, REFERENCE).pathname;
}

/** The high byte of a multiplicative hash. */
const hash = (index: number): number => Math.imul(index, 2654435761) >>> 24;

/** (count, size, size, 3) uint8: blocks of 8×8 pixels with hashed colours. */
export function blockPixels(count: number, size: number): Uint8Array<ArrayBuffer> {
  const pixels = new Uint8Array(count * size * size * 3);
  for (let index = 0; index < pixels.length; index++) {
    const channel = index % 3;
    const x = Math.floor(index / 3) % size;
    const y = Math.floor(index / (3 * size)) % size;
    const image = Math.floor(index / (3 * size * size));
    pixels[index] = hash(((image * 64 + (y >> 3)) * 64 + (x >> 3)) * 3 + channel);
  }
  return pixels;
}

/** (count) uint8 noise. */
export function noisePixels(count: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: count }, (_, index) => hash(index));
}

/** Every output of a graph for `rows` rows of pixels, in the graph's order. */
export async function runGraph(
  graph: ClassifierGraph,
  pixels: Uint8Array,
  rows: number,
): Promise<Float32Array[]> {
  const { session, runtime } = await createSession(graph.onnx, CPU);
  const images = imageTensor(runtime, pixels, [rows, graph.height, graph.width, 3]);
  const outputs = await runSession(session, images);
  await session.release();
  return outputs.map(({ data }) => data as Float32Array);
}

/** Largest difference as a part of the largest reference value. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length || actual.length === 0) return Number.POSITIVE_INFINITY;
  const values = Array.from(expected);
  const scale = Math.max(...values.map(Math.abs));
  const worst = Math.max(...values.map((value, index) => Math.abs(value - (actual[index] ?? Number.NaN))));
  return Number.isNaN(worst) ? Number.POSITIVE_INFINITY : worst / scale;
}

/** Scores by class from rows of (ids, scores) with every class in them. */
export function scoresByClass({ ids, scores }: Classification, topK: number): Float32Array {
  const sorted = new Float32Array(scores.length);
  ids.forEach((id, index) => {
    sorted[Math.floor(index / topK) * topK + id] = scores[index] ?? Number.NaN;
  });
  return sorted;
}

export function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}
