import { describe, expect, it } from 'vitest';
import { writeSafetensors } from '../../../src/pipeline/model/weights/safetensors.ts';
import { isFiniteState, lossNotFinite } from '../../../src/pipeline/training/finite.ts';

function fileWith(values: Float32Array, metadata: Record<string, string> = {}): Uint8Array {
  const tensor = (data: Float32Array) => ({ shape: [data.length], data });
  return writeSafetensors(
    new Map([
      ['features.0.weight', tensor(Float32Array.of(1, -2, 0))],
      ['momentum_buffer.features.0.weight', tensor(values)],
    ]),
    metadata,
  );
}

describe('isFiniteState', () => {
  it('accepts every finite number, the largest and smallest too', async () => {
    const largest = (2 - 2 ** -23) * 2 ** 127;
    expect(await isFiniteState(fileWith(Float32Array.of(largest, -largest, 2 ** -149, -0)))).toBe(true);
    expect(await isFiniteState(fileWith(new Float32Array(), { note: 'NaN' }))).toBe(true);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('finds %d', async (value) => {
    for (const length of [1, 1_000]) {
      for (const place of [0, length - 1]) {
        const values = new Float32Array(length).fill(0.5);
        values[place] = value;
        expect(await isFiniteState(fileWith(values))).toBe(false);
      }
    }
  });

  it('looks at large files in pieces, to their last value, and gives way to others', async () => {
    const values = new Float32Array(5_000_000).fill(0.5);
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 0);
    expect(await isFiniteState(fileWith(values))).toBe(true);
    values[values.length - 1] = Number.NaN;
    expect(await isFiniteState(fileWith(values))).toBe(false);
    clearInterval(counting);
    expect(turns).toBeGreaterThan(0);
  });
});

it('says where training went astray, and how to look at the batch', () => {
  const place = { epoch: 3, step: 17, expected: 'a finite loss', got: 'NaN' };
  expect(lossNotFinite({ run: 'r-1' }, place)).toMatchObject({
    code: 'LOSS_NOT_FINITE',
    message:
      'epoch 3, step 17: expected a finite loss, got NaN; the checkpoints before it are kept. ' +
      'Draw the batch: imagemill train-batch r-1 --epoch 3 --step 17 --png batch.png; ' +
      'a lower learning rate helps most often: --set learningRate=…',
  });
});
