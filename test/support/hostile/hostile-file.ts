import type { ItemErrorCode } from '../../../src/contract/errors.ts';

/** What has to become of an item: a row of labels, or one error record with this code. */
export type Fate = 'labelled' | ItemErrorCode;

/** A file that somebody put into a collection to do harm, or that an accident made as bad. */
export interface HostileFile {
  /** Of the file; its ending is that of an image, or no listing would show it. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly fate: Fate;
}

export function hostile(name: string, fate: Fate, bytes: Uint8Array): HostileFile {
  return { name, fate, bytes };
}
