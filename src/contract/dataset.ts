import { z } from 'zod';
import { defineDocument } from './document.ts';
import { runIdSchema, SHARD_SIZE_MAX } from './ids.ts';

export const SPLITS = ['train', 'val'] as const;
export type Split = (typeof SPLITS)[number];

const vector = z.tuple([z.number(), z.number(), z.number()]);
const matrix = z.tuple([vector, vector, vector]);

/**
 * `<split>/000042.index.json`: where the images of one tar lie. Columns, so that a million items stay small.
 * All columns have one entry per image, in the order of the tar.
 */
export const datasetIndexDocument = defineDocument('dataset-index', 1, {
  /** Key of the tar, relative to the dataset. */
  tar: z.string(),
  /** Of the tar, `sha256:<hex>`. */
  digest: z.string(),
  bytes: z.number().int().nonnegative(),
  /** Class names of this tar; `classes` refers to them by index. */
  labels: z.array(z.string()),
  keys: z.array(z.string()),
  classes: z.array(z.number().int().nonnegative()),
  /** First byte of the image in the tar. */
  offsets: z.array(z.number().int().nonnegative()),
  lengths: z.array(z.number().int().positive()),
  widths: z.array(z.number().int().positive()),
  heights: z.array(z.number().int().positive()),
  /** `sha256:<hex>` of the original bytes: decides the split, and tells duplicates. */
  digests: z.array(z.string()),
  uris: z.array(z.string()),
});
export type DatasetIndex = z.infer<typeof datasetIndexDocument.schema>;

/** Exact sums over the pixels of the training images of a shard, RGB 0..255, as decimal integers. */
export const pixelSumsSchema = z.object({
  pixels: z.string(),
  /** Σr, Σg, Σb. */
  sums: z.tuple([z.string(), z.string(), z.string()]),
  /** Σrr, Σrg, Σrb, Σgg, Σgb, Σbb. */
  products: z.tuple([z.string(), z.string(), z.string(), z.string(), z.string(), z.string()]),
});
export type PixelSums = z.infer<typeof pixelSumsSchema>;

const splitSchema = z.object({
  items: z.number().int().nonnegative(),
  /** Items of each class, in the order of `classes`. */
  itemsPerClass: z.array(z.number().int().nonnegative()),
  shards: z.array(
    z.object({
      tar: z.string(),
      index: z.string(),
      indexDigest: z.string(),
      /** What memory is taken for, before the index is read. */
      items: z.number().int().positive().max(SHARD_SIZE_MAX),
      bytes: z.number().int().positive(),
      digest: z.string(),
    }),
  ),
});

/** `dataset.json`: written once, when every shard is committed. */
export const datasetDocument = defineDocument('dataset', 1, {
  /** The prepare run that made it. */
  run: runIdSchema,
  createdAt: z.iso.datetime(),
  source: z.string(),
  shortSide: z.number().int().positive(),
  encoding: z.enum(['jpeg', 'png']),
  valFraction: z.number().min(0).max(1),
  seed: z.number().int().nonnegative(),
  /** Class names in code point order; a class index is a position in this list. */
  classes: z.array(z.string()).min(1),
  splits: z.object({ train: splitSchema, val: splitSchema }),
  /** Mean RGB of the training pixels, 0..255. */
  meanPixel: vector,
  /** Covariance of RGB over the training pixels, 0..255 squared. */
  covariance: matrix,
  /** Of the covariance, descending. */
  eigenvalues: vector,
  /** Row i belongs to eigenvalue i; the largest component is positive. */
  eigenvectors: matrix,
  /** Images that could not be prepared. */
  errors: z.number().int().nonnegative(),
  /** Contents that occur more than once, and those among them under different labels; listed in `duplicates.jsonl`. */
  duplicates: z.object({
    contents: z.number().int().nonnegative(),
    items: z.number().int().nonnegative(),
    conflictingLabels: z.number().int().nonnegative(),
  }),
  /** Of everything that training depends on: classes, shard digests, mean, eigenvectors. */
  digest: z.string(),
});
export type Dataset = z.infer<typeof datasetDocument.schema>;

/** A line of `duplicates.jsonl`. */
export const duplicateSchema = z.object({
  digest: z.string(),
  labels: z.array(z.string()),
  uris: z.array(z.string()),
});
export type Duplicate = z.infer<typeof duplicateSchema>;
