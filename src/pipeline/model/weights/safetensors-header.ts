/**
 * The JSON header of safetensors (https://huggingface.co/docs/safetensors/#format), checked as the reference
 * implementation does and, as the format demands, without duplicate keys.
 */
import { corrupt, quoted } from './faults.ts';
import { elementCount, isSize } from './state-dict.ts';
import { ELEMENT_TYPES, isReal } from './element-types.ts';
import type { ElementTypeName, RealElementTypeName } from './element-types.ts';

/** Where one tensor lies. */
export interface TensorEntry {
  readonly name: string;
  readonly type: RealElementTypeName;
  readonly shape: readonly number[];
  /** Bytes from the start of the data, not of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly entries: readonly TensorEntry[];
  readonly metadata: Record<string, string>;
}

export const METADATA_KEY = '__metadata__';

/** Objects and arrays in a header: the header, a tensor, its shape. */
const MAX_JSON_DEPTH = 3;

/**
 * @param json the header's bytes
 * @param dataBytes size of the data after the header
 * @throws ImagemillError MODEL_CORRUPT for anything but a header that describes every byte of the data exactly once
 */
export function parseHeader(json: Uint8Array, dataBytes: number, where: string): SafetensorsHeader {
  const root = parseStrictJson(json, where);
  if (!isJsonObject(root)) throw corrupt(where, 'expected the safetensors header to be a JSON object');
  let metadata: Record<string, string> = {};
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(root)) {
    if (name === METADATA_KEY) metadata = parseMetadata(value, where);
    else entries.push(parseEntry(name, value, where));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCoverage(entries, dataBytes, where);
  return { entries, metadata };
}

function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseMetadata(value: unknown, where: string): Record<string, string> {
  if (!isJsonObject(value)) throw corrupt(where, `expected ${METADATA_KEY} to be an object of strings`);
  const metadata = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text === 'string') return [key, text];
    throw corrupt(where, `expected ${METADATA_KEY} ${quoted(key)} to be a string, got ${describe(text)}`);
  });
  return Object.fromEntries(metadata);
}

function describe(value: unknown): string {
  return quoted(JSON.stringify(value) ?? 'nothing');
}

function parseEntry(name: string, value: unknown, where: string): TensorEntry {
  const tensor = `tensor ${quoted(name)}`;
  if (!isJsonObject(value))
    throw corrupt(where, `expected ${tensor} to be an object, got ${describe(value)}`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isElementType(dtype)) {
    throw corrupt(
      where,
      `expected ${tensor} to have a dtype that converts to float32, got ${describe(dtype)}`,
    );
  }
  const count = isNumbers(shape) ? elementCount(shape) : null;
  if (!isNumbers(shape) || count === null) {
    throw corrupt(where, `expected ${tensor} to have a shape of sizes, got ${describe(shape)}`);
  }
  const [begin, end] = isNumbers(offsets) ? offsets : [];
  const isRange = isNumbers(offsets) && offsets.length === 2 && offsets.every(isSize);
  if (!isRange || begin === undefined || end === undefined || begin > end) {
    throw corrupt(where, `expected ${tensor} to have offsets [begin, end], got ${describe(offsets)}`);
  }
  const bytes = count * ELEMENT_TYPES[dtype].bytes;
  if (bytes !== end - begin) {
    throw corrupt(where, `expected ${tensor} to span ${bytes} bytes for its shape, got ${end - begin}`);
  }
  return { name, type: dtype, shape, begin, end };
}

function isElementType(dtype: unknown): dtype is RealElementTypeName {
  return typeof dtype === 'string' && Object.hasOwn(ELEMENT_TYPES, dtype) && isReal(dtype as ElementTypeName);
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function checkCoverage(entries: readonly TensorEntry[], dataBytes: number, where: string): void {
  let covered = 0;
  for (const entry of entries) {
    if (entry.begin !== covered) {
      const fault = entry.begin < covered ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw corrupt(where, `expected tensors side by side, but tensor ${quoted(entry.name)} ${fault}`);
    }
    covered = entry.end;
  }
  if (covered !== dataBytes) {
    throw corrupt(where, `expected ${covered} bytes of tensor data as the header says, got ${dataBytes}`);
  }
}

function parseStrictJson(json: Uint8Array, where: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json);
  } catch (error) {
    throw corrupt(where, 'expected the safetensors header to be UTF-8', error);
  }
  checkKeys(text, where);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw corrupt(where, 'expected the safetensors header to be JSON', error);
  }
}

/**
 * Refuses duplicate keys, which JSON.parse would hide, and deep nesting. Runs before JSON.parse, on text that need
 * not be JSON: it only finds strings and brackets.
 */
function checkKeys(text: string, where: string): void {
  const open: (Set<string> | null)[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === '{' || character === '[') {
      if (open.push(character === '{' ? new Set() : null) > MAX_JSON_DEPTH) {
        throw corrupt(where, `expected a header of at most ${MAX_JSON_DEPTH} nested levels`);
      }
    } else if (character === '}' || character === ']') {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) rememberKey(text.slice(at, end), open.at(-1), where);
      at = end;
      continue;
    }
    at++;
  }
}

/** The index after the closing quote of the string that starts at `start`, or the text's length. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at];
    if (character === '"') return at + 1;
    if (character === '\\') at++;
  }
  return text.length;
}

function isKey(text: string, after: number): boolean {
  let at = after;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return text[at] === ':';
}

function rememberKey(literal: string, keys: Set<string> | null | undefined, where: string): void {
  let key: string;
  try {
    key = String(JSON.parse(literal));
  } catch (error) {
    throw corrupt(where, 'expected the safetensors header to be JSON', error);
  }
  if (keys?.has(key)) throw corrupt(where, `expected each name once, got ${quoted(key)} twice`);
  keys?.add(key);
}
