/** Entry of the compute process: takes attempts from the control process, labels them, reports. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { readSettings } from '../../config/environment.ts';
import { asImagemillError, ImagemillError } from '../../contract/errors.ts';
import { isLabelRun } from '../../contract/run.ts';
import { Semaphore } from '../../pipeline/batch/semaphore.ts';
import { classifyShard } from '../../pipeline/classify-shard.ts';
import { createDecoder } from '../../pipeline/decode/create-decoder.ts';
import { createItemReader } from '../../pipeline/source/item-reader.ts';
import { createStoreResolver } from '../../storage/resolver.ts';
import { watchEventLoop } from '../../telemetry/event-loop-delay.ts';
import { RunCache } from '../run-cache.ts';
import { LoadedModels } from './loaded-models.ts';
import type { FromCompute, ShardAttempt, ToCompute } from './protocol.ts';

const PULSE_MS = 1_000;
const PROGRESS_INTERVAL_MS = 250;

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    engine: { type: 'string', default: 'onnxruntime' },
  },
});
const { s3, worker: settings } = readSettings(process.env);
const resolver = createStoreResolver({ s3 });
const runs = new RunCache(resolver);
const models = new LoadedModels({
  resolver,
  engine: values.engine,
  device: values.device,
  engineThreads: settings.engineThreads,
});
const decoder = createDecoder({
  concurrency: settings.decodeConcurrency ?? availableParallelism(),
  limits: {
    maxBytes: settings.maxImageBytes,
    maxPixels: settings.maxImagePixels,
    timeoutMs: settings.decodeTimeoutMs,
  },
});
const fetches = new Semaphore(settings.fetchConcurrency);
const aborts = new Map<string, AbortController>();

function send(message: FromCompute): void {
  // The control process may be gone; then `disconnect` ends this one.
  if (process.connected) process.send?.(message);
}

async function attempt({ out, shard: index, token }: ShardAttempt): Promise<void> {
  const abort = new AbortController();
  aborts.set(token, abort);
  const progress = throttledProgress(token);
  try {
    const { run, ledger } = await runs.open(out);
    if (!isLabelRun(run)) {
      throw new ImagemillError(
        'CONTRACT_INVALID',
        `run ${run.run}: expected a run that labels images, got ${run.spec.kind}`,
      );
    }
    const shard = await ledger.readShard(index);
    // Whoever submitted a local folder meant this machine's files; a manifest elsewhere must not reach for them.
    const allowFile = run.spec.source.uri.startsWith('file:');
    const reader = createItemReader(resolver, { maxBytes: settings.maxImageBytes }, { allowFile });
    const part = await models.use(
      run,
      () => progress({ items: 0, errors: 0 }),
      (model) =>
        classifyShard(
          { run, shard, token, out: ledger.store, signal: abort.signal, onProgress: progress },
          { ...model, reader, decoder, fetches },
        ),
    );
    send({ type: 'done', token, part });
  } catch (error) {
    const { code, message } = asImagemillError(error);
    send({ type: 'failed', token, code, message });
  } finally {
    aborts.delete(token);
  }
}

/** Progress feeds a watchdog and a display; a few messages a second are enough for both. */
function throttledProgress(token: string): (progress: { items: number; errors: number }) => void {
  let sentAtMs = 0;
  return ({ items, errors }) => {
    const nowMs = performance.now();
    if (nowMs - sentAtMs < PROGRESS_INTERVAL_MS) return;
    sentAtMs = nowMs;
    send({ type: 'progress', token, items, errors });
  };
}

process.on('message', (message: ToCompute) => {
  if (message.type === 'classify') void attempt(message);
  else aborts.get(message.token)?.abort(new ImagemillError('SHUTDOWN', 'the attempt was stopped'));
});
// Without its control process nothing here can be committed.
process.once('disconnect', () => process.exit(0));
// A terminal sends Ctrl-C to the whole group, but when to stop is for the control process to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

const eventLoop = watchEventLoop();
setInterval(() => send({ type: 'pulse', eventLoopDelayP99Ms: eventLoop.read().p99Ms }), PULSE_MS);
send({ type: 'ready' });
