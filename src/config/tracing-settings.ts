import { z } from 'zod';

const SERVICE_NAME = 'imagemill';
/** Where a collector takes traces, below the endpoint that serves all signals. */
const TRACES_PATH = 'v1/traces';

const endpoint = z
  .url({ protocol: /^https?$/, error: 'expected http:// or https://' })
  .refine((url) => !url.includes('@'), 'expected no user or password: see OTEL_EXPORTER_OTLP_HEADERS')
  .optional();

/**
 * Variables of OpenTelemetry that decide whether and where traces go. The exporter reads the others itself: headers,
 * certificates, compression.
 */
export const tracingVariables = {
  /** Base URL of a collector (OTLP over HTTP, JSON): traces go to its `/v1/traces`. Unset: no traces. */
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  /** The whole URL for traces, in place of the one before. */
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint,
  OTEL_SERVICE_NAME: z.string().max(255).optional(),
  /** Share of traces that are kept, 0 to 1. */
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
  OTEL_SDK_DISABLED: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .default(false),
};

type Variables = z.infer<z.ZodObject<typeof tracingVariables>>;

export interface TracingSettings {
  /** URL that takes traces. */
  readonly endpoint: string;
  readonly serviceName: string;
  /** Share of traces that are kept, 0 to 1. */
  readonly ratio: number;
}

/** @returns undefined where traces are off, as they are unless a collector is named */
export function tracingSettings(vars: Variables): TracingSettings | undefined {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: own } = vars;
  const url = own ?? (base === undefined ? undefined : `${base.replace(/\/$/, '')}/${TRACES_PATH}`);
  if (url === undefined || vars.OTEL_SDK_DISABLED) return undefined;
  return {
    endpoint: url,
    serviceName: vars.OTEL_SERVICE_NAME ?? SERVICE_NAME,
    ratio: vars.OTEL_TRACES_SAMPLER_ARG,
  };
}
