import { loadQueueTelemetry } from '../queue/telemetry.ts';
import { startTracing } from '../telemetry/tracing.ts';
import type { Context, Handler } from './context.ts';

/** Runs a command, with traces where the environment names a collector for them. @returns the exit code */
export async function runTraced(context: Context, handler: Handler): Promise<number> {
  const { tracing: settings } = context.settings;
  if (settings === undefined) return handler(context);
  const [tracing, queueTelemetry] = await Promise.all([
    startTracing(settings, context.logger),
    loadQueueTelemetry(),
  ]);
  try {
    return await handler({ ...context, queueTelemetry });
  } finally {
    await tracing.shutdown();
  }
}
