import { ImagemillError } from '../../../contract/errors.ts';

const QUOTED_LENGTH = 80;

/** Text from a file, fit for a one-line message: quoted, escaped and at most {@link QUOTED_LENGTH} characters long. */
export function quoted(text: string): string {
  const shown = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}…` : text;
  // JSON leaves DEL and the C1 controls alone, which a terminal would obey.
  return JSON.stringify(shown).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '\u{FFFD}');
}

/** A `MODEL_CORRUPT` error: `<where>: <what was expected and what was got>`. */
export function corrupt(where: string, sentence: string, cause?: unknown): ImagemillError {
  const options = cause === undefined ? undefined : { cause };
  return new ImagemillError('MODEL_CORRUPT', `${where}: ${sentence}`, options);
}
