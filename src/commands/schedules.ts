import { EXIT, ImagemillError } from '../contract/errors.ts';
import { printableLine } from '../telemetry/printable.ts';
import type { Context } from './context.ts';
import { withQueues } from './with-queues.ts';

/** `imagemill schedules`: lists what `train --cron` has set up, or ends one. */
export async function schedules(
  context: Context,
  { remove, json }: { remove?: string; json: boolean },
): Promise<number> {
  if (context.settings.redisUrl === undefined) {
    throw new ImagemillError('USAGE', 'expected REDIS_URL: schedules are kept by a shared queue');
  }
  return withQueues(context, { device: 'cpu', engine: 'onnxruntime' }, async (queues) => {
    if (remove !== undefined) {
      if (!(await queues.removeSchedule(remove))) {
        throw new ImagemillError(
          'USAGE',
          `expected the id of a schedule, got ${remove}: see imagemill schedules`,
        );
      }
      context.stdout.write(`${remove} removed\n`);
      return EXIT.done;
    }
    const found = await queues.schedules();
    if (json) context.stdout.write(`${JSON.stringify(found)}\n`);
    else if (found.length === 0) context.stdout.write('no schedules: imagemill train --cron "0 2 * * *" …\n');
    else
      for (const { id, pattern, next } of found)
        context.stdout.write(`${printableLine(`${id}  ${pattern}  next ${next}`)}\n`);
    return EXIT.done;
  });
}
