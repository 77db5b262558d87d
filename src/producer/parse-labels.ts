import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { ImagemillError } from '../contract/errors.ts';

const labelList = z.array(z.string());

/**
 * Reads a labels file (UTF-8): a JSON array of strings, or one label per line.
 * @throws ImagemillError MODEL_LABELS_MISMATCH
 */
export function parseLabels(bytes: Uint8Array, where: string): string[] {
  if (!isUtf8(bytes)) {
    throw new ImagemillError('MODEL_LABELS_MISMATCH', `${where}: expected UTF-8 text, got other bytes`);
  }
  const text = new TextDecoder().decode(bytes).replace(/^\uFEFF/, '');
  if (!text.trimStart().startsWith('[')) {
    const lines = text.split(/\r?\n/);
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }
  try {
    return labelList.parse(JSON.parse(text));
  } catch {
    throw new ImagemillError(
      'MODEL_LABELS_MISMATCH',
      `${where}: expected one label per line or a JSON array of strings, got other JSON`,
    );
  }
}
