import { z } from 'zod';
import { ImagemillError } from '../contract/errors.ts';

const labelList = z.array(z.string());

/**
 * Reads a labels file: a JSON array of strings, or one label per line.
 * @throws ImagemillError MODEL_LABELS_MISMATCH
 */
export function parseLabels(bytes: Uint8Array, where: string): string[] {
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
