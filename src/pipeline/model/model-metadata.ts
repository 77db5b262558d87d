/** What a model file says about itself: metadata of safetensors, `metadata_props` of ONNX. */
import { describeIssues } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { preprocessingSchema, type ModelCard, type Preprocessing } from '../../contract/model-card.ts';
import { IMAGENET_LABELS } from './imagenet-labels.ts';

export const METADATA_KEYS = {
  architecture: 'imagemill.architecture',
  labels: 'imagemill.labels',
  preprocessing: 'imagemill.preprocessing',
} as const;

/** Keys under which other exporters keep class names, the likeliest first. */
const COMMON_LABEL_KEYS = ['labels', 'classes', 'class_names', 'names'];

export type Metadata = ReadonlyMap<string, string>;

/** The entries that make a model file self-describing. */
export function describeModel(
  card: Pick<ModelCard, 'architecture' | 'labels' | 'preprocessing'>,
): Record<string, string> {
  return {
    [METADATA_KEYS.architecture]: card.architecture,
    [METADATA_KEYS.labels]: JSON.stringify(card.labels),
    [METADATA_KEYS.preprocessing]: JSON.stringify(card.preprocessing),
  };
}

/** @throws ImagemillError MODEL_CORRUPT where our own entry is not what we write */
export function readPreprocessing(metadata: Metadata, where: string): Preprocessing | undefined {
  const text = metadata.get(METADATA_KEYS.preprocessing);
  if (text === undefined) return undefined;
  const result = preprocessingSchema.safeParse(parseJson(text));
  if (result.success) return result.data;
  throw new ImagemillError(
    'MODEL_CORRUPT',
    `${where}: ${METADATA_KEYS.preprocessing}: ${describeIssues(result.error)}`,
  );
}

/** Labels and where they came from. */
export type ChosenLabels = Pick<ModelCard, 'labels' | 'labelsFrom'>;

/**
 * Given labels, else those of the file, else ImageNet's for a thousand classes, else the class numbers.
 * @throws ImagemillError MODEL_LABELS_MISMATCH; MODEL_CORRUPT where our own entry is not what we write
 */
export function chooseLabels(
  given: readonly string[] | undefined,
  metadata: Metadata,
  classes: number,
  where: string,
): ChosenLabels {
  if (given !== undefined) return { labels: checkCount(given, classes, where), labelsFrom: 'file' };
  const own = readOwnLabels(metadata, where);
  if (own !== undefined) return { labels: checkCount(own, classes, where), labelsFrom: 'model' };
  for (const key of COMMON_LABEL_KEYS) {
    const labels = parseLabels(metadata.get(key) ?? '');
    if (labels.length === classes) return { labels, labelsFrom: 'model' };
  }
  if (classes === IMAGENET_LABELS.length) return { labels: [...IMAGENET_LABELS], labelsFrom: 'imagenet' };
  return { labels: Array.from({ length: classes }, (_, index) => String(index)), labelsFrom: 'numbered' };
}

function readOwnLabels(metadata: Metadata, where: string): string[] | undefined {
  const text = metadata.get(METADATA_KEYS.labels);
  if (text === undefined) return undefined;
  const labels = parseJson(text);
  if (isStrings(labels)) return labels;
  throw new ImagemillError(
    'MODEL_CORRUPT',
    `${where}: ${METADATA_KEYS.labels}: expected a JSON array of strings`,
  );
}

function checkCount(labels: readonly string[], classes: number, where: string): string[] {
  if (labels.length === classes) return [...labels];
  throw new ImagemillError(
    'MODEL_LABELS_MISMATCH',
    `${where}: expected ${classes} labels, one per class, got ${labels.length}`,
  );
}

/** The number before a name, in what lies between two names. */
const INDEX = /(\d{1,10})\s{0,10}:\s{0,10}$/;
/** Characters before a name that can hold its number. */
const INDEX_LENGTH = 32;

/**
 * Class names as exporters write them: a JSON array, a JSON or Python dict from index to name, a Python list,
 * or names between commas. Nothing that can be understood gives an empty list.
 */
export function parseLabels(text: string): string[] {
  const trimmed = text.trim();
  const json = parseJson(trimmed);
  if (isStrings(json)) return json;
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return byIndex(Object.entries(json));
  if (trimmed.startsWith('{')) {
    return byIndex(
      quotedTexts(trimmed).flatMap(({ before, text }): [string, string][] => {
        const index = INDEX.exec(before.slice(-INDEX_LENGTH))?.[1];
        return index === undefined ? [] : [[index, text]];
      }),
    );
  }
  if (/^[[(]/.test(trimmed)) {
    return quotedTexts(trimmed).map(({ text }) => unescape(text));
  }
  return trimmed.includes(',') ? trimmed.split(',').map((label) => label.trim()) : [];
}

/**
 * Texts in single or double quotes, escapes left as they are, and what lies before each. One pass: an expression with
 * repeated alternatives would take quadratic time, or all of the stack, for what is never closed.
 */
function quotedTexts(source: string): { readonly before: string; readonly text: string }[] {
  const found: { before: string; text: string }[] = [];
  const quote = /['"]/g;
  let after = 0;
  for (let open = quote.exec(source); open !== null; open = quote.exec(source)) {
    const end = closingQuote(source, open.index);
    if (end === undefined) break;
    found.push({ before: source.slice(after, open.index), text: source.slice(open.index + 1, end) });
    after = end + 1;
    quote.lastIndex = after;
  }
  return found;
}

function closingQuote(source: string, open: number): number | undefined {
  for (let at = open + 1; at < source.length; at++) {
    if (source[at] === source[open]) return at;
    if (source[at] === '\\') at++;
  }
  return undefined;
}

/** Names in order of their index; empty unless the indices are 0, 1, 2, …. */
function byIndex(entries: readonly (readonly [string, unknown])[]): string[] {
  const labels: string[] = [];
  for (const [index, label] of entries) {
    const position = Number(index);
    if (
      !Number.isInteger(position) ||
      position < 0 ||
      position >= entries.length ||
      typeof label !== 'string'
    )
      return [];
    labels[position] = unescape(label);
  }
  return Object.keys(labels).length === entries.length ? labels : [];
}

function unescape(text: string): string {
  return text.replace(/\\(['"\\])/g, '$1');
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
