import { z } from 'zod';
import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { ledgerKeys } from '../../storage/ledger-keys.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** Up to so many classes a matrix can be read; beyond, pairs of classes tell more. */
export const MATRIX_CLASSES_MAX = 30;
export const CLASSES_SHOWN_MAX = 1_000;
const PAIRS_SHOWN_MAX = 30;

const share = z.number().min(0).max(1).nullable();
const count = z.number().int().nonnegative();

/** `evaluation.json` as far as a page shows it; the matrix is checked row by row as it is read. */
const evaluationSchema = z.object({
  model: z.string(),
  dataset: z.string(),
  split: z.string(),
  crops: z.number().int(),
  items: count,
  unreadable: count,
  unknownLabel: count,
  top1Error: share,
  top5Error: share,
  calibrationError: share,
  perClass: z.array(z.object({ label: z.string(), items: count, accuracy: share })),
  confusion: z.custom<unknown[] | null>((value) => value === null || Array.isArray(value)),
  calibration: z.array(z.object({ count, confidence: z.number().nullable(), accuracy: share })).max(100),
});

type Parsed = z.infer<typeof evaluationSchema>;

export interface ConfusedPair {
  readonly truth: string;
  readonly label: string;
  readonly images: number;
  /** Of the images of the true class, 0 to 1. */
  readonly share: number;
}

/** An evaluation, cut down to what a page shows of it: small, however many classes there are. */
export interface EvaluationView extends Omit<Parsed, 'confusion' | 'perClass'> {
  readonly classes: number;
  /** Lowest accuracy first, those without images last; CLASSES_SHOWN_MAX at most. */
  readonly perClass: Parsed['perClass'];
  /** Row = truth, column = label; null where there are too many classes to read it. */
  readonly matrix: { readonly labels: readonly string[]; readonly counts: readonly number[][] } | null;
  /** Most images first. */
  readonly confusedPairs: readonly ConfusedPair[];
  /** Whether the run has a picture of its matrix. */
  readonly hasPicture: boolean;
}

/** @throws ImagemillError OBJECT_NOT_FOUND, CONTRACT_INVALID, STORE_* */
export async function readEvaluationView(store: ObjectStore): Promise<EvaluationView> {
  const where = store.uriOf(ledgerKeys.evaluation);
  return parseEvaluation(await store.get(ledgerKeys.evaluation), where);
}

/** @param where what the bytes are, for the message. @throws ImagemillError CONTRACT_INVALID */
export function parseEvaluation(bytes: Uint8Array, where: string): EvaluationView {
  const result = evaluationSchema.safeParse(parseJson(bytes, where));
  if (!result.success) {
    throw new ImagemillError('CONTRACT_INVALID', `${where}: ${describeIssues(result.error)}`);
  }
  const { confusion, perClass, ...figures } = result.data;
  const labels = perClass.map(({ label }) => label);
  return {
    ...figures,
    classes: labels.length,
    perClass: worstFirst(perClass).slice(0, CLASSES_SHOWN_MAX),
    matrix:
      confusion !== null && labels.length <= MATRIX_CLASSES_MAX
        ? { labels, counts: labels.map((_, truth) => rowOf(confusion, truth, labels.length)) }
        : null,
    confusedPairs: confusion === null ? [] : confusedPairs(confusion, labels),
    hasPicture: confusion !== null,
  };
}

function worstFirst(perClass: Parsed['perClass']): Parsed['perClass'] {
  // A class without images has no accuracy to be sorted by.
  const place = (accuracy: number | null) => accuracy ?? Number.POSITIVE_INFINITY;
  return perClass.toSorted((a, b) => compare(place(a.accuracy), place(b.accuracy)) || b.items - a.items);
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

/** Pairs of different classes; one pass over the matrix, and memory for the pairs that are kept. */
function confusedPairs(confusion: unknown[], labels: readonly string[]): ConfusedPair[] {
  const kept: ConfusedPair[] = [];
  for (const [truth, name] of labels.entries()) {
    const row = rowOf(confusion, truth, labels.length);
    const total = row.reduce((sum, images) => sum + images, 0);
    for (const [column, images] of row.entries()) {
      if (column === truth || images === 0) continue;
      if (kept.length === PAIRS_SHOWN_MAX && images <= (kept.at(-1)?.images ?? 0)) continue;
      const after = kept.findIndex((other) => other.images < images);
      const pair = { truth: name, label: labels[column] ?? '', images, share: images / total };
      kept.splice(after === -1 ? kept.length : after, 0, pair);
      if (kept.length > PAIRS_SHOWN_MAX) kept.pop();
    }
  }
  return kept;
}

function rowOf(confusion: unknown[], truth: number, classes: number): number[] {
  const row: unknown = confusion[truth];
  return Array.from({ length: classes }, (_, column) => {
    const images: unknown = Array.isArray(row) ? row[column] : 0;
    return typeof images === 'number' && Number.isInteger(images) && images > 0 ? images : 0;
  });
}

function parseJson(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new ImagemillError('CONTRACT_INVALID', `${where}: not JSON (${(error as Error).message})`);
  }
}
