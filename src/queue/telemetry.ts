import { SpanKind, type JobsOptions, type Telemetry } from 'bullmq';

/** Makes the work on a queue part of traces. */
export type QueueTelemetry = Telemetry;

type QueueSpan = ReturnType<Telemetry['tracer']['startSpan']>;

/** A span that is left out: what would be its child becomes one of its parent. */
const LEFT_OUT: QueueSpan = {
  setSpanOnContext: (context: unknown) => context,
  setAttribute: () => {},
  setAttributes: () => {},
  addEvent: () => {},
  recordException: () => {},
  end: () => {},
};

/**
 * Loads what carries a trace through the queues: only once traces are on.
 *
 * Only adding and processing jobs are spans. Of its other doings BullMQ would tell as well: of every look for a job,
 * renewal of a lock and report of progress, so that a worker with nothing to do sent traces for ever, and an epoch of
 * an hour had thousands of spans that tell nothing.
 */
export async function loadQueueTelemetry(): Promise<QueueTelemetry> {
  const [{ BullMQOtel }, { ROOT_CONTEXT }] = await Promise.all([
    import('bullmq-otel'),
    import('@opentelemetry/api'),
  ]);
  const { tracer, contextManager } = new BullMQOtel({ tracerName: 'bullmq' });
  return {
    tracer: {
      startSpan: (name, options, context) => {
        if (options?.kind === SpanKind.PRODUCER) return tracer.startSpan(name, options, context);
        if (options?.kind !== SpanKind.CONSUMER) return LEFT_OUT;
        // A worker's loop may have been begun by another job, which has nothing to do with this one.
        return tracer.startSpan(name, options, context ?? ROOT_CONTEXT);
      },
    },
    contextManager: {
      with: (context, work) => contextManager.with(context, work),
      active: () => contextManager.active(),
      root: () => ROOT_CONTEXT,
      getMetadata: (context) => contextManager.getMetadata(context),
      fromMetadata: (_active, metadata) => {
        try {
          return contextManager.fromMetadata(ROOT_CONTEXT, metadata);
        } catch {
          // Whoever wrote it: a job whose trace cannot be read is done all the same.
          return ROOT_CONTEXT;
        }
      },
    },
  };
}

/** Under this name a job carries what it goes back to, where that is in another trace. */
const ORIGIN = 'imagemill-origin';

/**
 * Options of a job that begins a trace of its own.
 * @param origin what it goes back to, as W3C Trace Context writes it; undefined where traces are off
 */
export function ownTrace(origin: string | undefined): Pick<JobsOptions, 'telemetry'> {
  if (origin === undefined) return {};
  return { telemetry: { omitContext: true, metadata: JSON.stringify({ [ORIGIN]: origin }) } };
}

/** What a job with a trace of its own goes back to; undefined for one that is part of its run's trace. */
export function originOf({ telemetry }: JobsOptions): string | undefined {
  if (telemetry?.metadata === undefined) return undefined;
  try {
    const metadata = JSON.parse(telemetry.metadata) as Record<string, unknown> | null;
    const origin = metadata?.[ORIGIN];
    return typeof origin === 'string' ? origin : undefined;
  } catch {
    return undefined;
  }
}
