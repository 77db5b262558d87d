import { describe, expect, it } from 'vitest';
import { opinionatedWeights } from '../../bench/models.ts';
import { createArchitecture } from '../../src/pipeline/model/architectures.ts';
import { initialiseWeights } from '../../src/pipeline/model/init.ts';

const architecture = createArchitecture('alexnet-small', { classes: 10 });
const weights = initialiseWeights(architecture, 0);
const untouched = new Map([...weights].map(([name, { data }]) => [name, data.slice()]));
const opinionated = opinionatedWeights(architecture, weights);

function tensor(name: string): { shape: readonly number[]; data: Float32Array } {
  const found = opinionated.get(name);
  if (found === undefined) throw new Error(`expected a tensor ${name}`);
  return found;
}

function units(name: string): Float32Array[] {
  const { shape, data } = tensor(name);
  const fanIn = data.length / (shape[0] ?? 1);
  return Array.from({ length: shape[0] ?? 0 }, (_, unit) => data.subarray(unit * fanIn, (unit + 1) * fanIn));
}

const bytesOf = (data: Float32Array = new Float32Array()) =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);
const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('opinionatedWeights', () => {
  it('keeps names and shapes, and leaves the weights it was given alone', () => {
    expect([...opinionated.keys()]).toEqual([...weights.keys()]);
    for (const [name, { shape }] of weights) expect(tensor(name).shape).toEqual(shape);
    for (const [name, { data }] of weights) {
      // Comparing millions of numbers one by one takes the test framework seconds.
      expect(Buffer.compare(bytesOf(data), bytesOf(untouched.get(name)))).toBe(0);
    }
  });

  it('drops biases', () => {
    const biases = [...opinionated].filter(([, { shape }]) => shape.length === 1);
    expect(biases).toHaveLength(8);
    for (const [, { data }] of biases) expect(data.every((value) => value === 0)).toBe(true);
  });

  it('centres every unit', () => {
    for (const [name, { shape }] of opinionated) {
      if (shape.length === 1) continue;
      for (const unit of units(name)) {
        const scale = Math.sqrt(mean(unit.map((value) => value * value)));
        expect(Math.abs(mean(unit)) / scale).toBeLessThan(1e-3);
      }
    }
  });

  it('averages the windows of every layer but the first, and gives the last the variance of He et al.', () => {
    const names = [...opinionated].flatMap(([name, { shape }]) => (shape.length === 4 ? [name] : []));
    for (const name of names.slice(1)) {
      const { shape, data } = tensor(name);
      const window = (shape[2] ?? 1) * (shape[3] ?? 1);
      expect(window).toBeGreaterThan(1);
      for (let index = 0; index < data.length; index++) {
        if (data[index] !== data[index - (index % window)]) throw new Error(`${name}[${index}] differs`);
      }
    }
    const last = [...opinionated.keys()].findLast((name) => name.endsWith('weight')) ?? '';
    for (const unit of units(last)) {
      expect(mean(unit.map((value) => value * value)) * unit.length).toBeCloseTo(2, 3);
    }
  });

  it('leaves the first filters smooth: neighbours along rows and columns are nearly equal', () => {
    const [name = ''] = opinionated.keys();
    const { shape, data } = tensor(name);
    const side = shape[3] ?? 1;
    const energy = mean(data.map((value) => value * value));
    for (const step of [1, side]) {
      let [sum, count] = [0, 0];
      for (let index = 0; index < data.length; index++) {
        if (Math.floor(index / step) % side === side - 1) continue;
        sum += ((data[index + step] ?? 0) - (data[index] ?? 0)) ** 2;
        count += 1;
      }
      expect(sum / count / energy).toBeLessThan(0.1);
    }
  });
});
