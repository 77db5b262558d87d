/** TensorFlow's errors in one line. */
import { ImagemillError } from '../../../contract/errors.ts';

/** TF_RESOURCE_EXHAUSTED, as the binding reports a status. */
const EXHAUSTED = /TF_Status: 8\b|\bOOM when allocating|ResourceExhausted|RESOURCE_EXHAUSTED/;
const MESSAGE_CHARS = 300;

export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && EXHAUSTED.test(error.message);
}

/** @returns ENGINE_OUT_OF_MEMORY or ENGINE_FAILED; errors of imagemill's own as they are */
export function asEngineError(error: unknown): ImagemillError {
  if (error instanceof ImagemillError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ImagemillError(
    isOutOfMemory(error) ? 'ENGINE_OUT_OF_MEMORY' : 'ENGINE_FAILED',
    `TensorFlow: ${plainMessage(message)}`,
    { cause: error },
  );
}

/** Without the status number, C++ source lines and advice on how to rebuild. */
function plainMessage(message: string): string {
  const line = message
    .replaceAll(/Invalid TF_Status: \d+\s*/g, '')
    .replaceAll(/\bMessage: /g, '')
    .replaceAll(/\{\{[^}]*\}\}\s*/g, '')
    .replaceAll(/\[Op:[^\]]*\]/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return line.length > MESSAGE_CHARS ? `${line.slice(0, MESSAGE_CHARS)}…` : line;
}
