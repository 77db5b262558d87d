import type * as OpenTelemetry from '@opentelemetry/api';
import type { Attributes, Link, Span, Tracer } from '@opentelemetry/api';
import { asImagemillError, type ImagemillError } from '../contract/errors.ts';

type Api = typeof OpenTelemetry;

/** Null while tracing is off: then nothing of OpenTelemetry is loaded from here, and a span is nothing but a call. */
let tracing: { readonly api: Api; readonly tracer: Tracer } | null = null;

/** From now on spans are recorded. Whoever starts tracing calls this, with the API the SDK is registered with. */
export function recordSpans(api: Api): void {
  tracing = { api, tracer: api.trace.getTracer('imagemill') };
}

/** Work that is under way, as a trace shows it. */
export interface OpenSpan {
  /** Does a part of the work: spans that begin meanwhile are children of this one. Ends the span where that fails. */
  during<R>(work: () => Promise<R>): Promise<R>;
  set(attributes: Attributes): void;
  /** Ends the span; only the first end counts. */
  end(): void;
}

export interface SpanOptions {
  /** What this work goes back to, where that is not its parent: a {@link traceparent}. */
  readonly origin?: string | undefined;
  /** What is wrong where the work throws; null where nothing is, since some of what is thrown only steers a queue. */
  readonly faultOf?: (error: unknown) => ImagemillError | null;
}

const NO_SPAN: OpenSpan = { during: (work) => work(), set: () => {}, end: () => {} };

/**
 * Begins a span, as a child of the one that is active.
 * @param attributes those that are undefined are left out
 */
export function openSpan(name: string, attributes: Attributes, options: SpanOptions = {}): OpenSpan {
  if (tracing === null) return NO_SPAN;
  const { api, tracer } = tracing;
  const span = tracer.startSpan(name, { attributes, links: linksTo(options.origin, api) });
  const context = api.trace.setSpan(api.context.active(), span);
  const { faultOf = asImagemillError } = options;
  let isOpen = true;
  const end = (): void => {
    if (isOpen) span.end();
    isOpen = false;
  };
  return {
    during: async (work) => {
      try {
        return await api.context.with(context, work);
      } catch (error) {
        recordFault(span, faultOf(error), api);
        end();
        throw error;
      }
    },
    set: (more) => void span.setAttributes(more),
    end,
  };
}

/** Does work in a span of its own, which fails as the work does: with a code of the catalogue. */
export async function withSpan<R>(
  name: string,
  attributes: Attributes,
  work: (span: OpenSpan) => Promise<R>,
  options: SpanOptions = {},
): Promise<R> {
  const span = openSpan(name, attributes, options);
  const result = await span.during(() => work(span));
  span.end();
  return result;
}

/** The active span, for the line of a log; nothing where there is none. */
export function activeSpanIds(): { readonly trace_id?: string; readonly span_id?: string } {
  const context = tracing?.api.trace.getActiveSpan()?.spanContext();
  return context === undefined ? {} : { trace_id: context.traceId, span_id: context.spanId };
}

/** The active span as W3C Trace Context writes it; undefined where there is none. */
export function traceparent(): string | undefined {
  const context = tracing?.api.trace.getActiveSpan()?.spanContext();
  if (context === undefined) return undefined;
  const flags = context.traceFlags.toString(16).padStart(2, '0');
  return `00-${context.traceId}-${context.spanId}-${flags}`;
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

function linksTo(origin: string | undefined, api: Api): Link[] {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(origin ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return [];
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return api.isSpanContextValid(context) ? [{ context }] : [];
}

function recordFault(span: Span, fault: ImagemillError | null, api: Api): void {
  if (fault === null) return;
  span.setAttribute('error.type', fault.code);
  span.setStatus({ code: api.SpanStatusCode.ERROR, message: `${fault.code}: ${fault.message}` });
}
