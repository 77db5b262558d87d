import { setImmediate as nextTurn } from 'node:timers/promises';
import { ImagemillError } from '../../contract/errors.ts';
import type { Run } from '../../contract/run.ts';

/** Values that are looked at between two turns of the event loop: a few milliseconds' worth. */
const PIECE_VALUES = 2 ** 21;
const HEADER_LENGTH_BYTES = 8;

/**
 * Whether every value of a float32 safetensors file is finite. Gives way to others between pieces.
 * @param file as `encodeCheckpoint` writes it: its data begins at a multiple of four bytes
 */
export async function isFiniteState(file: Uint8Array): Promise<boolean> {
  const { buffer, byteOffset, byteLength } = file;
  const headerBytes = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const start = HEADER_LENGTH_BYTES + headerBytes;
  const values = new Float32Array(buffer, byteOffset + start, (byteLength - start) / 4);
  for (let at = 0; at < values.length; at += PIECE_VALUES) {
    let sum = 0;
    // A number less itself is zero; infinities and NaN leave NaN.
    for (const value of values.subarray(at, at + PIECE_VALUES)) sum += value - value;
    if (sum !== 0) return false;
    await nextTurn();
  }
  return true;
}

/** Training that went astray: says where, and how to look at the batch that did it. */
export function lossNotFinite(
  { run }: Pick<Run, 'run'>,
  { epoch, step, expected, got }: { epoch: number; step: number; expected: string; got: string },
): ImagemillError {
  return new ImagemillError(
    'LOSS_NOT_FINITE',
    `epoch ${epoch}, step ${step}: expected ${expected}, got ${got}; the checkpoints before it are kept. ` +
      `Draw the batch: imagemill train-batch ${run} --epoch ${epoch} --step ${step} --png batch.png; ` +
      'a lower learning rate helps most often: --set learningRate=…',
  );
}
