/**
 * Initial weights as a pure function of (architecture, seed), bit-identical on every machine: the uniform bits come
 * from Philox, and the normal quantile uses only operations that IEEE 754 rounds exactly (+ − × ÷ √), never
 * `Math.log` or `Math.cos`, whose last bit differs between engines.
 */
import { parametersOf, product, unreachable, type Architecture, type Parameter } from './architecture.ts';
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
    default:
      return unreachable(fill);
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

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;
const LOG_COEFFICIENTS: Coefficients = [
  0.6666666666666735, 0.3999999999940942, 0.2857142874366239, 0.22222198432149784, 0.1818357216161805,
  0.15313837699209373, 0.14798198605116586, 0,
];
const CENTRE_NUMERATOR: Coefficients = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
  67265.7709270087, 33430.57558358813, 2509.0809287301227,
];
const CENTRE_DENOMINATOR: Coefficients = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
  28729.085735721943, 5226.495278852854,
];
const TAIL_NUMERATOR: Coefficients = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
  0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
];
const TAIL_DENOMINATOR: Coefficients = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
  0.0005475938084995345, 1.0507500716444169e-9,
];
const FAR_NUMERATOR: Coefficients = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
  0.0012426609473880784, 2.7115555687434876e-5, 2.0103343992922881e-7,
];
const FAR_DENOMINATOR: Coefficients = [
  1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
  1.8463183175100548e-5, 1.421511758316446e-7, 2.0442631033899397e-15,
];
