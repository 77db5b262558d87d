import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attributes } from '@opentelemetry/api';
import type { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import type { TracingSettings } from '../config/tracing-settings.ts';
import { VERSION } from '../config/version.ts';
import { CollectorExporter } from './collector-exporter.ts';
import type { Logger } from './logger.ts';
import { recordSpans } from './spans.ts';

/** How long an ending process waits for its last spans to be sent. */
const FLUSH_TIMEOUT_MS = 3_000;
/** A span waits so long for others to go with. */
const BATCH_DELAY_MS = 2_000;
/** Spans in one request, and spans that wait for theirs at most: what is beyond is dropped. */
const BATCH_SPANS_MAX = 512;
const QUEUED_SPANS_MAX = 4_096;

export interface Tracing {
  /** Sends what is left, for 3 s at most. Never throws. */
  shutdown(): Promise<void>;
}

/**
 * Turns traces on, for the rest of this process. The SDK is loaded here and nowhere else: without settings a process
 * does not pay for it.
 * @param logger is warned once where the collector cannot be reached
 */
export async function startTracing(settings: TracingSettings, logger: Logger): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-node'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ]);
  const { endpoint, serviceName, ratio } = settings;
  const exporter = new CollectorExporter(new OTLPTraceExporter({ url: endpoint }), endpoint, logger);
  const provider = new sdk.NodeTracerProvider({
    resource: resourceOf({
      'service.name': serviceName,
      'service.version': VERSION,
      'service.instance.id': `${hostname()}-${process.pid}`,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor(exporter, {
        scheduledDelayMillis: BATCH_DELAY_MS,
        maxExportBatchSize: BATCH_SPANS_MAX,
        maxQueueSize: QUEUED_SPANS_MAX,
      }),
    ],
  });
  provider.register();
  recordSpans(api);
  return {
    shutdown: async () => {
      const sent = provider.shutdown().catch(() => {});
      await Promise.race([sent, sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })]);
    },
  };
}

type Resource = NonNullable<NonNullable<ConstructorParameters<typeof NodeTracerProvider>[0]>['resource']>;

function resourceOf(attributes: Attributes): Resource {
  return {
    attributes,
    getRawAttributes: () => Object.entries(attributes),
    merge: (other) => resourceOf({ ...attributes, ...other?.attributes }),
  };
}
