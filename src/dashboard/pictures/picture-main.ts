/** Entry of the process that makes pictures: takes requests from the dashboard, and answers them. */
import { parseArgs } from 'node:util';
import { readSettings } from '../../config/environment.ts';
import { offerAsVictim } from '../../config/offer-as-victim.ts';
import { asImagemillError } from '../../contract/errors.ts';
import { createThumbnailer } from '../../pipeline/decode/thumbnail.ts';
import { createStoreResolver } from '../../storage/resolver.ts';
import type { PatienceMs } from './picture-limits.ts';
import { PictureTasks } from './picture-tasks.ts';
import type { FromPictures, ToPictures } from './protocol.ts';

const { values } = parseArgs({
  options: {
    patience: { type: 'string', default: '{}' },
    concurrency: { type: 'string', default: '1' },
  },
});
const patience = JSON.parse(values.patience) as PatienceMs;
const { s3, worker } = readSettings(process.env);
const limits = {
  maxBytes: worker.maxImageBytes,
  maxPixels: worker.maxImagePixels,
  timeoutMs: patience.decodeMs,
};
const tasks = new PictureTasks({
  resolver: createStoreResolver({ s3 }),
  thumbnailer: createThumbnailer({ limits, concurrency: Number(values.concurrency) }),
  maxImageBytes: limits.maxBytes,
  patience,
});

function send(message: FromPictures): void {
  // The dashboard may be gone; then `disconnect` ends this process.
  if (process.connected) process.send?.(message);
}

async function answer({ id, task }: ToPictures): Promise<void> {
  try {
    send({ type: 'done', id, picture: await tasks.run(task) });
  } catch (error) {
    const { code, message } = asImagemillError(error);
    send({ type: 'failed', id, code, message });
  }
}

process.on('message', (message: ToPictures) => void answer(message));
process.once('disconnect', () => process.exit(0));
// It may have gone while these modules were loaded, when nobody listened yet.
if (!process.connected) process.exit(0);
// A terminal sends Ctrl-C to the whole group, but when to stop is for the dashboard to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

offerAsVictim();
send({ type: 'ready' });
