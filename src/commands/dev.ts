import { EXIT } from '../contract/errors.ts';
import { interruption, type Context } from './context.ts';
import { DEMO_DEFAULTS, runDemo } from './demo.ts';
import { withLocalFleet, type LocalFleet } from './local-fleet.ts';
import { hasDigits } from './mnist.ts';
import type { LocalWorkerOptions } from './with-queues.ts';

export interface DevOptions extends LocalWorkerOptions {
  readonly port?: number;
  /**
   * Something to look at: prepares, trains on and labels handwritten digits. undefined: where there is nothing else to
   * look at, see {@link wantsDemo}.
   */
  readonly demo?: boolean;
}

/** `imagemill dev`: Redis, unless REDIS_URL names one, a worker and a dashboard, until SIGINT or SIGTERM. */
export function dev(context: Context, options: DevOptions): Promise<number> {
  return withLocalFleet(context, options, async (fleet) => {
    const isDemo = await wantsDemo(options, fleet);
    context.stdout.write(
      [
        `Dashboard: ${fleet.address}`,
        `A worker is ready on ${options.device}. In another terminal:`,
        // That of a shared Redis may hold a password.
        fleet.ownsRedis ? `  export REDIS_URL=${fleet.target.redisUrl}` : '  set REDIS_URL as it is set here',
        '  imagemill classify ./photos --model alexnet.safetensors --out ./labels',
        'Ctrl-C ends it.',
        '',
      ].join('\n'),
    );
    if (isDemo && options.demo === undefined) {
      context.stdout.write(
        `Nothing has run here yet: the demo begins, in ${DEMO_DEFAULTS.out} (--no-demo leaves it out).\n`,
      );
    }
    if (isDemo) await runDemo(fleet.context, DEMO_DEFAULTS);
    await interruption(context);
    return EXIT.done;
  });
}

/** Where not told: on a queue of our own, while no run is known, and with digits at hand. */
async function wantsDemo({ demo }: DevOptions, { ownsRedis, context }: LocalFleet): Promise<boolean> {
  if (demo !== undefined) return demo;
  return ownsRedis && hasDigits() && (await context.index.ids()).length === 0;
}
