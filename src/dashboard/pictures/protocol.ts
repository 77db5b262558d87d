/** Messages between the dashboard and the process that makes its pictures; both are always of one version. */
import type { ErrorCode } from '../../contract/errors.ts';

export type PictureTask =
  | {
      readonly kind: 'thumbnail';
      /** The run's directory, as a URI; of a generation, that of the nested run. */
      readonly out: string;
      readonly shard: number;
      /** Place of the item in the shard. */
      readonly index: number;
      /** Side of the square into which it is fitted. */
      readonly sidePx: number;
    }
  | { readonly kind: 'filters'; readonly out: string }
  | {
      readonly kind: 'minibatch';
      readonly out: string;
      /** From 1. */
      readonly epoch: number;
      /** From 0. */
      readonly step: number;
    };

export interface Picture {
  /** Encoded. */
  readonly bytes: Uint8Array;
  readonly contentType: 'image/webp' | 'image/png';
  /** Of a minibatch: the class of each of its images, row by row. */
  readonly labels?: readonly string[];
}

/** What a picture takes in memory, roughly. */
export function pictureBytes({ bytes, labels = [] }: Picture): number {
  return bytes.byteLength + 2 * labels.reduce((sum, label) => sum + label.length, 0);
}

export interface ToPictures {
  readonly id: number;
  readonly task: PictureTask;
}

export type FromPictures =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly id: number; readonly picture: Picture }
  | { readonly type: 'failed'; readonly id: number; readonly code: ErrorCode; readonly message: string };
