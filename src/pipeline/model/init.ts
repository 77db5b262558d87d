/**
 * Initial weights as a pure function of (architecture, seed), bit-identical on every machine: the uniform bits come
 * from Philox, and the normal quantile uses only operations that IEEE 754 rounds exactly (+ − × ÷ √), never
 * `Math.log` or `Math.cos`, whose last bit differs between engines.
 */
import { parametersOf, product, type Architecture, type Parameter } from './architecture.ts';
import { keyOfSeed, philoxBlocks, PURPOSE, type PhiloxKey } from './philox.ts';
import type { StateDict } from './weights/state-dict.ts';

/** Random words held at a time; a multiple of four. */
const WORDS_PER_DRAW = 16_384;

/** Turns u in (0, 1) into the value of one parameter. */
type Quantile = (u: number) => number;

/**
 * Initialises every parameter. Element i of parameter p is word i mod 4 of the Philox block with the counter
 * (⌊i/4⌋, 0, p, purpose), so tensors can be drawn in any order.
 * @param seed integer in 0..2⁵³−1
 * @throws RangeError seed out of range
 */
export function initialiseWeights(architecture: Architecture, seed: number): StateDict {
  const key = keyOfSeed(seed);
  return new Map(
    parametersOf(architecture).map((parameter, index) => [
      parameter.name,
      { shape: parameter.shape, data: drawParameter(parameter, index, key) },
    ]),
  );
}

function drawParameter(parameter: Parameter, index: number, key: PhiloxKey): Float32Array {
  const data = new Float32Array(product(parameter.shape));
  const { fill } = parameter.init;
  if (fill.kind === 'constant') return data.fill(fill.value);
  const quantile = quantileOf(fill, parameter.fanIn);
  const words = new Uint32Array(Math.min(WORDS_PER_DRAW, Math.ceil(data.length / 4) * 4));
  for (let start = 0; start < data.length; start += words.length) {
    philoxBlocks(start / 4, 0, index, PURPOSE.initialisation, key, words);
    const count = Math.min(words.length, data.length - start);
    for (let word = 0; word < count; word++) {
      data[start + word] = quantile(((words[word] ?? 0) + 0.5) / 0x1_0000_0000);
    }
  }
  return data;
}

function quantileOf(fill: Exclude<Parameter['init']['fill'], { kind: 'constant' }>, fanIn: number): Quantile {
  switch (fill.kind) {
    case 'normal':
      return (u) => fill.std * normalQuantile(u);
    case 'he-normal': {
      const std = Math.sqrt(2 / fanIn);
      return (u) => std * normalQuantile(u);
    }
    case 'uniform-fan-in': {
      const bound = 1 / Math.sqrt(fanIn);
      return (u) => (2 * u - 1) * bound;
    }
  }
}

/**
 * Inverse of the standard normal distribution: Wichura 1988, algorithm AS 241, PPND16 (relative error 1e-16).
 * @param u in (0, 1), at least 2⁻³³ away from both ends
 */
export function normalQuantile(u: number): number {
  const q = u - 0.5;
  if (q >= -0.425 && q <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * horner(CENTRE_NUMERATOR, r)) / horner(CENTRE_DENOMINATOR, r);
  }
  const tail = Math.sqrt(-exactLog(q < 0 ? u : 1 - u));
  const far = tail > 5;
  const r = tail - (far ? 5 : 1.6);
  const value = far
    ? horner(FAR_NUMERATOR, r) / horner(FAR_DENOMINATOR, r)
    : horner(TAIL_NUMERATOR, r) / horner(TAIL_DENOMINATOR, r);
  return q < 0 ? -value : value;
}

/** Natural logarithm of x in [2⁻⁴⁰, 1) by exactly rounded operations only (fdlibm's e_log.c, k_log.h). */
function exactLog(x: number): number {
  let exponent = 0;
  let mantissa = x;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent -= 1;
  }
  const f = mantissa - 1;
  const s = f / (2 + f);
  const z = s * s;
  const remainder = z * horner(LOG_COEFFICIENTS, z);
  const halfSquare = 0.5 * f * f;
  return exponent * LN2_HIGH - (halfSquare - (s * (halfSquare + remainder) + exponent * LN2_LOW) - f);
}

/** c₀ + x(c₁ + x(c₂ + … + x·c₇)), written out: this runs once per weight. */
function horner(c: Coefficients, x: number): number {
  return ((((((c[7] * x + c[6]) * x + c[5]) * x + c[4]) * x + c[3]) * x + c[2]) * x + c[1]) * x + c[0];
}

type Coefficients = readonly [number, number, number, number, number, number, number, number];

const LN2_HIGH = 6.9314718036912381649e-1;
const LN2_LOW = 1.90821492927058770002e-10;
const LOG_COEFFICIENTS: Coefficients = [
  6.66666666666673513e-1, 3.999999999940941908e-1, 2.857142874366239149e-1, 2.222219843214978396e-1,
  1.818357216161805012e-1, 1.531383769920937332e-1, 1.479819860511658591e-1, 0,
];
const CENTRE_NUMERATOR: Coefficients = [
  3.387132872796366608, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
  4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3,
];
const CENTRE_DENOMINATOR: Coefficients = [
  1, 4.2313330701600911252e1, 6.871870074920579083e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
  3.930789580009271061e4, 2.8729085735721942674e4, 5.226495278852854561e3,
];
const TAIL_NUMERATOR: Coefficients = [
  1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
  1.27045825245236838258, 2.4178072517745061177e-1, 2.27238449892691845833e-2, 7.7454501427834140764e-4,
];
const TAIL_DENOMINATOR: Coefficients = [
  1, 2.05319162663775882187, 1.6763848301838038494, 6.8976733498510000455e-1, 1.4810397642748007459e-1,
  1.51986665636164571966e-2, 5.475938084995344946e-4, 1.05075007164441684324e-9,
];
const FAR_NUMERATOR: Coefficients = [
  6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 2.9656057182850489123e-1,
  2.6532189526576123093e-2, 1.2426609473880784386e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
];
const FAR_DENOMINATOR: Coefficients = [
  1, 5.9983220655588793769e-1, 1.3692988092273580531e-1, 1.48753612908506148525e-2, 7.868691311456132591e-4,
  1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15,
];
