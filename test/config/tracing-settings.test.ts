import { describe, expect, it } from 'vitest';
import { readSettings } from '../../src/config/environment.ts';

const tracingOf = (env: Record<string, string>) => readSettings(env).tracing;

describe('settings of traces', () => {
  it('are none unless a collector is named', () => {
    expect(tracingOf({})).toBeUndefined();
    expect(tracingOf({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER_ARG: '0.5' })).toBeUndefined();
    expect(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: '' })).toBeUndefined();
    expect(
      tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_SDK_DISABLED: 'true' }),
    ).toBeUndefined();
  });

  it.each(['http://collector:4318', 'http://collector:4318/'])('add the path of traces to %s', (endpoint) => {
    expect(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint })).toEqual({
      endpoint: 'http://collector:4318/v1/traces',
      serviceName: 'imagemill',
      ratio: 1,
    });
  });

  it('take the endpoint of traces as it is, before that of all signals', () => {
    expect(
      tracingOf({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://tempo.example/otlp',
        OTEL_SERVICE_NAME: 'night shift',
        OTEL_TRACES_SAMPLER_ARG: '0.25',
      }),
    ).toEqual({ endpoint: 'https://tempo.example/otlp', serviceName: 'night shift', ratio: 0.25 });
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' }, /OTEL_EXPORTER_OTLP_ENDPOINT=.*expected http/],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://' }, /OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=.*expected http/],
    [{ OTEL_TRACES_SAMPLER_ARG: '1.5' }, /OTEL_TRACES_SAMPLER_ARG=1\.5/],
    [{ OTEL_TRACES_SAMPLER_ARG: 'half' }, /OTEL_TRACES_SAMPLER_ARG=half/],
    [{ OTEL_SDK_DISABLED: 'perhaps' }, /OTEL_SDK_DISABLED=perhaps/],
  ])('refuse %o', (env, message) => {
    expect(() => readSettings(env)).toThrow(message);
  });

  it('refuse credentials in a URL, and do not repeat them', () => {
    const read = () => readSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'https://me:hunter2@collector' });
    expect(read).toThrow(/OTEL_EXPORTER_OTLP_HEADERS/);
    expect(read).not.toThrow(/hunter2/);
  });
});
