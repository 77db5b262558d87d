/** Values of settings: what is expected, reading them from text, and writing them back. */
import { unreachable } from '../model/architecture.ts';

export type SettingType =
  | {
      readonly kind: 'number';
      readonly integer: boolean;
      readonly minimum?: number | undefined;
      readonly exclusiveMinimum?: number | undefined;
      readonly maximum?: number | undefined;
    }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'choice'; readonly options: readonly string[] }
  /** Any number of names. */
  | { readonly kind: 'list' }
  | { readonly kind: 'tuple'; readonly items: readonly SettingType[] };

/** What stands in a recipe under a setting's key. */
export type SettingValue = number | boolean | string | readonly SettingValue[];

const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const SEPARATOR = ',';
/** Characters of a wrong value that a message repeats. */
const MAX_QUOTED = 80;

/** The value that `text` stands for; undefined where it is not of this type or out of range. */
export function parseSettingValue(type: SettingType, text: string): SettingValue | undefined {
  switch (type.kind) {
    case 'number': {
      const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
      const fits =
        Number.isFinite(value) &&
        (!type.integer || Number.isSafeInteger(value)) &&
        value >= (type.minimum ?? Number.NEGATIVE_INFINITY) &&
        value > (type.exclusiveMinimum ?? Number.NEGATIVE_INFINITY) &&
        value <= (type.maximum ?? Number.POSITIVE_INFINITY);
      // −0 would be written to JSON as 0.
      return fits ? value || 0 : undefined;
    }
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'choice':
      return type.options.includes(text) ? text : undefined;
    case 'list': {
      const names = text === '' ? [] : parts(text);
      return names.includes('') ? undefined : names;
    }
    case 'tuple': {
      const texts = parts(text);
      if (texts.length !== type.items.length) return undefined;
      const values = type.items.map((item, index) => parseSettingValue(item, texts[index] ?? ''));
      return values.every((value) => value !== undefined) ? values : undefined;
    }
    default:
      return unreachable(type);
  }
}

/** As it would be typed: `0.01`, `true`, `0.08,1`; a list without entries is empty. */
export function formatSettingValue(value: SettingValue): string {
  return typeof value === 'object' ? value.map(formatSettingValue).join(SEPARATOR) : String(value);
}

/** `a number above 0`, `a whole number from 1 to 65536`, `one of relu, tanh`. */
export function describeSettingType(type: SettingType): string {
  switch (type.kind) {
    case 'number':
      return `a ${type.integer ? 'whole number' : 'number'}${describeRange(type)}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `one of ${type.options.join(', ')}`;
    case 'list':
      return 'names separated by commas';
    case 'tuple':
      return `${type.items.map(describeSettingType).join(' and ')}, separated by a comma`;
    default:
      return unreachable(type);
  }
}

/** A wrong value for a message, cut where it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

function describeRange(type: Extract<SettingType, { kind: 'number' }>): string {
  const { minimum, exclusiveMinimum, maximum } = type;
  if (exclusiveMinimum !== undefined) {
    return ` above ${exclusiveMinimum}${maximum === undefined ? '' : ` up to ${maximum}`}`;
  }
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of ${minimum} or more`;
  return maximum === undefined ? '' : ` of ${maximum} or less`;
}

function parts(text: string): string[] {
  return text.split(SEPARATOR).map((part) => part.trim());
}
