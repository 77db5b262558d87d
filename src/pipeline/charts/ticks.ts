const NICE_MULTIPLES = [1, 2, 5, 10];
/** Ticks are multiples of their step; so many digits hide what the multiplication rounds. */
const SIGNIFICANT_DIGITS = 12;
/** Less than this is taken for no range at all. */
const SMALLEST_RANGE = 1e-100;
const EXPONENT_FROM = 1e5;
const EXPONENT_BELOW = 1e-4;

/** The smallest of 1, 2, 5 × 10ⁿ that divides a range into at most so many steps. */
export function niceStep(range: number, maxSteps: number): number {
  if (!(range > SMALLEST_RANGE)) return 1;
  const raw = range / maxSteps;
  const power = 10 ** Math.floor(Math.log10(raw));
  const multiple = NICE_MULTIPLES.find((multiple) => multiple * power >= raw * (1 - 1e-9)) ?? 10;
  return round(multiple * power);
}

/** The multiples of the step from low to high, both included. */
export function ticksBetween(low: number, high: number, step: number): number[] {
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => round((first + index) * step));
}

/** All ticks with the same number of decimals, those of the step; very large and very small ones with exponents. */
export function formatTicks(ticks: readonly number[], step: number): string[] {
  const largest = Math.max(...ticks.map(Math.abs));
  const stepExponent = Math.floor(Math.log10(step) + 1e-9);
  if (largest >= EXPONENT_FROM || step < EXPONENT_BELOW) {
    return ticks.map((tick) => formatExponent(tick, stepExponent));
  }
  return ticks.map((tick) => tick.toFixed(Math.max(0, -stepExponent)));
}

function formatExponent(tick: number, stepExponent: number): string {
  if (tick === 0) return '0';
  const digits = Math.floor(Math.log10(Math.abs(tick)) + 1e-9) - stepExponent;
  return tick.toExponential(Math.min(SIGNIFICANT_DIGITS, Math.max(0, digits))).replace('e+', 'e');
}

function round(value: number): number {
  return Number(value.toPrecision(SIGNIFICANT_DIGITS));
}
