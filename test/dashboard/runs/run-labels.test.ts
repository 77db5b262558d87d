import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLASSES_LISTED_MAX, runLabelsSchema } from '../../../src/contract/api/labels.ts';
import type { LabelStatistics } from '../../../src/contract/label-statistics.ts';
import { describeLabels, runLabels } from '../../../src/dashboard/runs/run-labels.ts';
import { commitOf, FakeRuns, runId } from '../support.ts';

const NO_CONFIDENCE = Array.from({ length: 20 }, () => 0);

function statisticsOf(classes: Record<string, number>, score = 0.5): LabelStatistics {
  return {
    classes,
    confidence: NO_CONFIDENCE.with(19, 10),
    leastConfident: [{ index: 0, uri: 'a.jpg', label: 'cat', score, width: 1, height: 1 }],
  };
}

describe('labels of a run', () => {
  it('that goes on are those of the commits so far, each counted once', async () => {
    const runs = new FakeRuns();
    const ledger = await runs.add(1, 'running');
    const watched = await runs.catalogue().get(runId(1));
    await ledger.commit({ ...commitOf(runId(1), 0), labels: statisticsOf({ 0: 4, 2: 6 }, 0.3) });
    await ledger.commit({ ...commitOf(runId(1), 2), labels: statisticsOf({ 2: 10 }, 0.1) });
    for (let look = 0; look < 2; look += 1) {
      const labels = await runLabels(watched);
      expect(runLabelsSchema.parse(labels)).toEqual(labels);
      expect(labels).toMatchObject({
        images: 20,
        undescribedShards: 0,
        classes: [
          { id: 2, label: 'bird', images: 16 },
          { id: 0, label: 'cat', images: 4 },
        ],
        others: { classes: 0, images: 0 },
      });
      expect(labels.leastConfident.map(({ shard, generation, score }) => [shard, generation, score])).toEqual(
        [
          [2, 0, 0.1],
          [0, 0, 0.3],
        ],
      );
    }
  });

  it('say how many shards say nothing of theirs', async () => {
    const runs = new FakeRuns();
    const ledger = await runs.add(1, 'running');
    await ledger.commit(commitOf(runId(1), 0));
    await ledger.commit({ ...commitOf(runId(1), 1), labels: statisticsOf({ 1: 10 }) });
    expect(await runLabels(await runs.catalogue().get(runId(1)))).toMatchObject({
      images: 10,
      undescribedShards: 1,
    });
  });

  it('are of runs that label alone', async () => {
    const runs = new FakeRuns();
    await runs.add(1, 'running', { kind: 'train' });
    await expect(runLabels(await runs.catalogue().get(runId(1)))).rejects.toMatchObject({
      code: 'RUN_NOT_FOUND',
    });
  });

  it('add up, however many classes there are, and keep to their limits', () => {
    const counts = fc.dictionary(
      fc.integer({ min: 0, max: 30_000 }).map(String),
      fc.integer({ min: 1, max: 9 }),
      {
        minKeys: 1,
        maxKeys: 1_500,
      },
    );
    fc.assert(
      fc.property(counts, (classes) => {
        const statistics = { ...statisticsOf(classes), leastConfident: [] };
        const labels = describeLabels({
          run: runId(1),
          names: ['x'.repeat(10_000)],
          statistics,
          undescribedShards: 0,
        });
        expect(runLabelsSchema.parse(labels)).toEqual(labels);
        const listed = labels.classes.reduce((sum, { images }) => sum + images, 0);
        expect(listed + labels.others.images).toBe(labels.images);
        expect(labels.classes.length + labels.others.classes).toBe(Object.keys(classes).length);
        expect(labels.classes.length).toBeLessThanOrEqual(CLASSES_LISTED_MAX);
        const images = labels.classes.map((entry) => entry.images);
        expect(images).toEqual(images.toSorted((a, b) => b - a));
        for (const { label } of labels.classes) expect(label.length).toBeLessThanOrEqual(256);
      }),
      { numRuns: 40 },
    );
  });
});
