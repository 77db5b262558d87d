import { Registry } from 'prom-client';

/**
 * A register of metrics of its own: nothing global, so that two workers in one process do not share figures, and whoever
 * scrapes gets what was put there and nothing else.
 */
export function createMetricsRegister(): Registry {
  return new Registry();
}

export type { Registry as MetricsRegister } from 'prom-client';
