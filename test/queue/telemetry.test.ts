import { SpanKind, Worker } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { redisOptions } from '../../src/queue/connection.ts';
import { Queues } from '../../src/queue/queues.ts';
import { loadQueueTelemetry, originOf, ownTrace } from '../../src/queue/telemetry.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/training.ts';

const ORIGIN = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('a job with a trace of its own', () => {
  it('carries what it goes back to, and tells it', () => {
    expect(originOf(ownTrace(ORIGIN))).toBe(ORIGIN);
    // BullMQ would put the trace that is under way in its place.
    expect(ownTrace(ORIGIN).telemetry?.omitContext).toBe(true);
  });

  it('is none while traces are off', () => {
    expect(ownTrace(undefined)).toEqual({});
    expect(originOf({})).toBeUndefined();
  });

  it.each(['', 'null', '7', '{', '{"imagemill-origin":7}', `{"traceparent":"${ORIGIN}"}`])(
    'is none whose metadata is %j',
    (metadata) => {
      expect(originOf({ telemetry: { metadata } })).toBeUndefined();
    },
  );
});

describe('telemetry of the queues', () => {
  it('leaves out what BullMQ does on its own account', async () => {
    const { tracer } = await loadQueueTelemetry();
    const context = {};
    const span = tracer.startSpan('extendLocks', { kind: SpanKind.INTERNAL });
    expect(span.setSpanOnContext(context)).toBe(context);
    expect(tracer.startSpan('add', { kind: SpanKind.PRODUCER }, undefined)).not.toBe(span);
  });

  it('does a job whose metadata cannot be read as one without a trace', async () => {
    const { contextManager } = await loadQueueTelemetry();
    const root = contextManager.root?.();
    for (const metadata of ['{', 'null', '{"traceparent":7}']) {
      expect(contextManager.fromMetadata(contextManager.active(), metadata)).toBe(root);
    }
  });

  it('lets each time of a schedule begin a trace, in place of all being in that of the first', async () => {
    const redis = await startRedis();
    const telemetry = await loadQueueTelemetry();
    const target = { redisUrl: redis.url, prefix: 'traced', telemetry };
    const queues = new Queues(target);
    const metadata: unknown[] = [];
    const worker = new Worker('plan', async (job) => void metadata.push(job.opts.telemetry?.metadata), {
      connection: redisOptions(target, 'worker'),
      prefix: target.prefix,
      telemetry,
    });
    await queues.scheduleTrain('each-second', '* * * * * *', {
      dataset: 'memory://dataset/',
      out: 'memory://out/',
      recipe: 'alexnet-small',
      settings: [],
      seed: 0,
      checkpointSteps: 1,
      keepCheckpoints: 1,
      priority: 1,
    });
    await until(() => metadata.length >= 2);
    await worker.close();
    await queues.close();
    await redis.stop();
    expect(metadata.filter(Boolean)).toEqual([]);
  });
});
