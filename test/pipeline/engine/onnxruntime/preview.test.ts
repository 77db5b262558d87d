import { expect, it } from 'vitest';
import { previewBatch } from '../../../../src/pipeline/engine/onnxruntime/preview.ts';
import type { BatchColour } from '../../../../src/pipeline/engine/trainer.ts';
import { batchOf, trainingCase } from '../../../reference/training/cases.ts';

const GREY = [0.299, 0.587, 0.114];
const { spec } = trainingCase('colour');
const { images, colour } = batchOf(trainingCase('colour'), 0, 0);

/** M · x + b · mean(grey) + s for every pixel, rounded and held within 0..255. */
function byDefinition(pixels: Uint8Array, { matrices, greyShifts, shifts }: BatchColour): number[] {
  const rows = greyShifts.length;
  const size = pixels.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const item = pixels.subarray(row * size, (row + 1) * size);
    const grey = item.reduce((sum, value, index) => sum + value * (GREY[index % 3] ?? 0), 0) / (size / 3);
    return Array.from(item, (_, index) => {
      const channel = index % 3;
      const mixed = [0, 1, 2].map(
        (from) => (matrices[9 * row + 3 * channel + from] ?? 0) * (item[index - channel + from] ?? 0),
      );
      const shift = (greyShifts[row] ?? 0) * grey + (shifts[3 * row + channel] ?? 0);
      return Math.min(
        255,
        Math.max(
          0,
          mixed.reduce((sum, value) => sum + value, shift),
        ),
      );
    });
  }).flat();
}

it('shows the colours that the network is trained on', async () => {
  if (colour === null) throw new Error('expected a case with colour');
  const preview = await previewBatch(spec, images, colour);
  const expected = byDefinition(images, colour);
  expect(preview).toHaveLength(expected.length);
  const worst = expected.reduce(
    (most, value, index) => Math.max(most, Math.abs(value - (preview[index] ?? 0))),
    0,
  );
  expect(worst).toBeLessThan(0.501);
  expect(new Set(preview).size).toBeGreaterThan(200);
});

it('shows the pixels themselves where the recipe changes no colours', async () => {
  const none = { matrices: new Float32Array(), greyShifts: new Float32Array(), shifts: new Float32Array() };
  const preview = await previewBatch({ ...spec, colour: false }, images, none);
  expect(Buffer.compare(preview, images)).toBe(0);
});
