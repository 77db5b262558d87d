/** What is computed from measurements. Pure. */

/** @throws RangeError without values */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined)
    throw new RangeError('expected one value or more, got none');
  return (lower + upper) / 2;
}

/**
 * Median of the ratios of pairs that were measured one after the other: what slows both down for a while (another
 * tenant, a hot processor) cancels out, where it would not in a ratio of medians.
 */
export function medianRatio(values: readonly number[], references: readonly number[]): number {
  if (values.length !== references.length) {
    throw new RangeError(
      `expected as many references as values, got ${references.length} for ${values.length}`,
    );
  }
  return median(values.map((value, index) => value / (references[index] ?? Number.NaN)));
}

/** Throughput of two stages that share the same cores perfectly: the times per image add up. */
export function roofline(decodePerSecond: number, computePerSecond: number): number {
  return 1 / (1 / decodePerSecond + 1 / computePerSecond);
}

/** Fraction of positions where two lists of class ids agree. @throws RangeError where they differ in length */
export function agreement(ids: readonly number[], others: readonly number[]): number {
  if (ids.length !== others.length || ids.length === 0) {
    throw new RangeError(`expected two equally long lists, got ${ids.length} and ${others.length} ids`);
  }
  return ids.filter((id, index) => id === others[index]).length / ids.length;
}

export interface Target {
  readonly kind: 'at-least' | 'below';
  readonly value: number;
}

/** `met` or `missed`. */
export function verdict(value: number, { kind, value: bound }: Target): 'met' | 'missed' {
  return (kind === 'at-least' ? value >= bound : value < bound) ? 'met' : 'missed';
}
