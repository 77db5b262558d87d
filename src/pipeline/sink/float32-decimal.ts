/** 10^k for every k where that is exact in a double. */
const EXACT_POWERS_OF_TEN: readonly number[] = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));

/** Decimal digits that every normal float32 keeps (FLT_DIG): a shorter decimal is found by stripping zeros. */
const KEPT_DIGITS = 6;
/** Decimal digits that tell any two float32 apart (FLT_DECIMAL_DIG). */
const ENOUGH_DIGITS = 9;

/** Within these bounds 10^(digits − 1 − exponent) is an exact power for 6 to 9 digits. */
const FAST_FROM = 1e-14;
const FAST_TO = 1e6;

const EXPONENT_BIAS = 127;
const MANTISSA_BITS = 23;
const MANTISSA_MASK = (1 << MANTISSA_BITS) - 1;
const MAGNITUDE_MASK = 0x7fffffff;
/** By the exponent bits of a float32: half the distance to the next one, a little widened for rounding in doubles. */
const HALF_STEP: readonly number[] = Array.from(
  { length: 256 },
  (_, bits) => 2 ** (bits - EXPONENT_BIAS - MANTISSA_BITS - 1) * (1 + 1e-8),
);
/** By the exponent bits of a float32: floor(log10) of the power of two below it. */
const DECIMAL_EXPONENT: readonly number[] = Array.from({ length: 256 }, (_, bits) =>
  Math.floor((bits - EXPONENT_BIAS) * Math.log10(2)),
);

const singleView = new Float32Array(1);
const bitsView = new Uint32Array(singleView.buffer);

/**
 * The double that prints as the shortest decimal which reads back as the float32 nearest to `value`:
 * `shortestFloat32(Math.fround(0.91))` is `0.91`, not `0.9100000262260437`. Zero loses its sign.
 * Embeddings pass through here value by value, so the usual magnitudes take a path without strings or logarithms.
 * @param value finite
 */
export function shortestFloat32(value: number): number {
  const single = Math.fround(value);
  if (single === 0) return 0;
  const magnitude = Math.abs(single);
  const shortest =
    magnitude >= FAST_FROM && magnitude < FAST_TO
      ? shortestByScaling(magnitude)
      : shortestByPrinting(magnitude);
  return single < 0 ? -shortest : shortest;
}

function shortestByScaling(magnitude: number): number {
  singleView[0] = magnitude;
  const bits = (bitsView[0] as number) & MAGNITUDE_MASK;
  const exponentBits = bits >>> MANTISSA_BITS;
  const halfStep = HALF_STEP[exponentBits] as number;
  const exponent = decimalExponent(magnitude, DECIMAL_EXPONENT[exponentBits] as number);
  for (let digits = KEPT_DIGITS; digits <= ENOUGH_DIGITS; digits++) {
    const scale = EXACT_POWERS_OF_TEN[digits - 1 - exponent] as number;
    const scaled = magnitude * scale;
    const nearest = Math.floor(scaled + 0.5);
    if (Math.abs(nearest - scaled) <= halfStep * scale && Math.fround(nearest / scale) === magnitude) {
      return nearest / scale;
    }
    // Above a power of two the float32 lie twice as far apart as below it, so the next decimal may fit instead.
    if ((bits & MANTISSA_MASK) === 0 && Math.fround((nearest + 1) / scale) === magnitude) {
      return (nearest + 1) / scale;
    }
  }
  return magnitude;
}

/** floor(log10(magnitude)), where `estimate` is that of the power of two below it. */
function decimalExponent(magnitude: number, estimate: number): number {
  const next = estimate + 1;
  const power =
    next >= 0 ? (EXACT_POWERS_OF_TEN[next] as number) : 1 / (EXACT_POWERS_OF_TEN[-next] as number);
  return magnitude >= power ? next : estimate;
}

function shortestByPrinting(magnitude: number): number {
  for (let digits = 1; digits <= ENOUGH_DIGITS; digits++) {
    const [mantissa, power] = magnitude.toExponential(digits - 1).split('e') as [string, string];
    const nearest = Number(mantissa.replace('.', ''));
    const shift = Number(power) - digits + 1;
    for (const candidate of [nearest, nearest + 1]) {
      const decimal = Number(`${candidate}e${shift}`);
      if (Math.fround(decimal) === magnitude) return decimal;
    }
  }
  return magnitude;
}
