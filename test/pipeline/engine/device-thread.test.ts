import { afterEach, describe, expect, it } from 'vitest';
import { BatchError, DeviceThread } from '../../../src/pipeline/engine/device-thread.ts';
import { loadModel } from '../../../src/pipeline/engine/load-model.ts';
import type { ClassifierGraph } from '../../../src/pipeline/engine/engine.ts';
import { buildForeign } from './foreign-models.ts';
import { noisePixels } from './support.ts';

const BATCH = 4;
const OPTIONS = { engine: 'onnxruntime', device: 'cpu', threads: 1 } as const;

async function smallGraph(): Promise<ClassifierGraph> {
  const model = await loadModel(buildForeign(), { uri: 'm.onnx' });
  return model.compile({ topK: 2, batchSize: BATCH, crops: 1, embeddings: true });
}

const threads: DeviceThread[] = [];

async function start(graph: ClassifierGraph): Promise<DeviceThread> {
  const thread = await DeviceThread.start(graph, OPTIONS);
  threads.push(thread);
  return thread;
}

afterEach(async () => {
  await Promise.all(threads.splice(0).map((thread) => thread.terminate()));
});

const slab = (): ArrayBuffer => noisePixels(BATCH * 192).buffer;

describe('DeviceThread', () => {
  it('classifies slabs in order and gives them back without a copy', async () => {
    const graph = await smallGraph();
    const thread = await start(graph);
    expect(graph.onnx.length).toBe(0);
    const sent = slab();
    const results = await Promise.all([
      thread.classify(sent, BATCH),
      thread.classify(slab(), 2),
      thread.classify(slab(), 1),
    ]);
    expect(sent.byteLength).toBe(0);
    expect(results.map(({ classification }) => classification.ids.length)).toEqual([8, 4, 2]);
    expect(results.map(({ slab: returned }) => returned.byteLength)).toEqual([768, 768, 768]);
    expect(Buffer.from(results[0].slab).equals(noisePixels(BATCH * 192))).toBe(true);
    const [first, second] = results.map(({ classification }) => classification);
    expect([...(second?.ids ?? [])]).toEqual([...(first?.ids.subarray(0, 4) ?? [1])]);
    expect(first?.embeddings).toHaveLength(12);
    const again = await thread.classify(results[0].slab, BATCH);
    expect(again.classification).toEqual(first);
  });

  it('returns the slab with the error of a failed batch, and goes on', async () => {
    const thread = await start(await smallGraph());
    const failure = await thread.classify(slab(), 9).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(BatchError);
    expect(failure).toMatchObject({
      code: 'ENGINE_FAILED',
      message: 'expected 1 to 4 items in a batch, got 9',
    });
    const { slab: returned } = failure as BatchError;
    expect(returned.byteLength).toBe(768);
    expect((await thread.classify(returned, BATCH)).classification.ids).toHaveLength(8);
  });

  it('carries the code of an error at the start across', async () => {
    const graph = await smallGraph();
    await expect(DeviceThread.start({ ...graph, onnx: new Uint8Array(9) }, OPTIONS)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringContaining('onnxruntime refuses the graph') as string,
    });
    await expect(DeviceThread.start(graph, { ...OPTIONS, device: 'cuda:99' })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    });
  });

  it('rejects what is open when it is terminated, and everything after', async () => {
    const thread = await start(await smallGraph());
    const open = thread.classify(slab(), BATCH);
    const outcome = expect(open).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: 'the device thread was terminated',
    });
    await thread.terminate();
    await outcome;
    await expect(thread.classify(slab(), BATCH)).rejects.toThrow('the device thread was terminated');
  });

  it('sends a view of a larger buffer as a copy of its own', async () => {
    const graph = await smallGraph();
    const padded = new Uint8Array(graph.onnx.length + 8);
    padded.set(graph.onnx, 8);
    await start({ ...graph, onnx: padded.subarray(8) });
    expect(padded.length).toBe(graph.onnx.length + 8);
  });
});
