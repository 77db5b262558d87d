import type { EpochCommit } from '../../contract/training.ts';

/** What decides between epochs: the validation error, or the training error where there is no validation split. */
export function decidingError({ validation, train }: EpochCommit): number {
  return (validation ?? train).top1Error;
}
