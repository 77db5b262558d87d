import * as api from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { activeSpanIds, openSpan, recordSpans, traceparent, withSpan } from '../../src/telemetry/spans.ts';

describe('while traces are off', () => {
  it('a span is only its work', async () => {
    expect(await withSpan('work', {}, () => Promise.resolve(activeSpanIds()))).toEqual({});
    expect(traceparent()).toBeUndefined();
    await expect(withSpan('work', {}, () => Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  });
});

describe('while traces are on', () => {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

  beforeEach(() => {
    exporter.reset();
    provider.register();
    recordSpans(api);
  });

  afterAll(() => provider.shutdown());

  const ended = () => exporter.getFinishedSpans();

  it('spans nest, and their attributes can be added to', async () => {
    await withSpan('outer', { a: 1 }, async (outer) => {
      outer.set({ b: 'two' });
      await withSpan('inner', {}, () => Promise.resolve());
    });
    const [inner, outer] = ended();
    expect([inner?.name, outer?.name, outer?.attributes]).toEqual(['inner', 'outer', { a: 1, b: 'two' }]);
    expect(inner?.parentSpanContext?.spanId).toBe(outer?.spanContext().spanId);
  });

  it('a fault is told with its code, and what is none is not', async () => {
    const fail = (error: Error, faultOf?: () => null) => {
      const work = async (): Promise<never> => {
        throw error;
      };
      return withSpan('work', {}, work, faultOf === undefined ? {} : { faultOf });
    };
    await expect(fail(new ImagemillError('STORE_FULL', 'no room'))).rejects.toThrow('no room');
    await expect(fail(new TypeError('oops'))).rejects.toThrow('oops');
    await expect(fail(new Error('waits'), () => null)).rejects.toThrow('waits');
    expect(ended().map(({ status, attributes }) => [status.code, attributes['error.type']])).toEqual([
      [api.SpanStatusCode.ERROR, 'STORE_FULL'],
      [api.SpanStatusCode.ERROR, 'INTERNAL'],
      [api.SpanStatusCode.UNSET, undefined],
    ]);
    expect(ended()[0]?.status.message).toBe('STORE_FULL: no room');
  });

  it('a span that is done in parts ends once', async () => {
    const span = openSpan('work', {});
    await span.during(() => withSpan('first', {}, () => Promise.resolve()));
    await span.during(() => withSpan('second', {}, () => Promise.resolve()));
    expect(ended().map(({ name }) => name)).toEqual(['first', 'second']);
    span.end();
    span.end();
    expect(ended().map(({ name }) => name)).toEqual(['first', 'second', 'work']);
  });

  it('a span is linked to its origin, and to nothing that is not one', async () => {
    const origin = await withSpan('origin', {}, () => Promise.resolve(traceparent()));
    expect(origin).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const zeros = `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`;
    for (const given of [origin, undefined, '', 'x', zeros]) {
      await withSpan('linked', {}, () => Promise.resolve(), { origin: given });
    }
    const [first, ...linked] = ended();
    const { traceId, spanId } = first?.spanContext() ?? {};
    expect(linked[0]?.links).toMatchObject([{ context: { traceId, spanId } }]);
    expect(linked.slice(1).map(({ links }) => links.length)).toEqual([0, 0, 0, 0]);
  });

  it('lines of the log tell the span they are written in', async () => {
    let text = '';
    const logger = createLogger('info', {}, { write: (line) => void (text += line) });
    await withSpan('work', {}, async () => logger.info('within'));
    logger.info('outside');
    const [within, outside] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const { traceId, spanId } = ended()[0]?.spanContext() ?? {};
    expect(within).toMatchObject({ trace_id: traceId, span_id: spanId });
    expect(outside).not.toHaveProperty('trace_id');
  });
});
