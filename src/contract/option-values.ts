/** What options say when they are wrong: the command line and the forms of the dashboard use the same words. */

/** A value that was read, or a sentence about what was expected and what was got. */
export type Parsed<T> = { readonly value: T } | { readonly fault: string };

export function parseWholeNumber(text: string, minimum: number, maximum: number): Parsed<number> {
  const value = Number(text);
  if (!Number.isInteger(value) || value < minimum || value > maximum || text.trim() === '') {
    return { fault: `expected a whole number from ${minimum} to ${maximum}, got ${text}` };
  }
  return { value };
}

export function parseShare(text: string, maximum: number): Parsed<number> {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= maximum)) {
    return { fault: `expected a number from 0 to ${maximum}, got ${text}` };
  }
  return { value };
}

export function parseChoice<T extends string>(text: string, choices: readonly T[]): Parsed<T> {
  const value = choices.find((choice) => choice === text);
  return value === undefined ? { fault: `expected one of ${choices.join(', ')}, got ${text}` } : { value };
}

/** A point in time in ISO 8601; without a zone it is local. */
export function parseInstant(text: string): Parsed<Date> {
  const value = new Date(text);
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(value.getTime())) {
    return { fault: `expected a time such as 2026-01-31T02:00:00Z, got ${text}` };
  }
  return { value };
}
