/** Entry of the compute process: takes attempts from the control process, does them, reports. */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { readSettings } from '../../config/environment.ts';
import { offerAsVictim } from '../../config/offer-as-victim.ts';
import { asImagemillError, ImagemillError } from '../../contract/errors.ts';
import { Semaphore } from '../../pipeline/batch/semaphore.ts';
import { createDecoder } from '../../pipeline/decode/create-decoder.ts';
import { createImagePreparer } from '../../pipeline/decode/prepare-image.ts';
import { createStoreResolver } from '../../storage/resolver.ts';
import { watchEventLoop } from '../../telemetry/event-loop-delay.ts';
import { cpuSecondsOfThisProcess } from '../cpu-meter.ts';
import { RunCache } from '../run-cache.ts';
import { LoadedModels } from './loaded-models.ts';
import type { FromCompute, PublishTask, ResultOf, StartMessage, ToCompute, WorkKind } from './protocol.ts';
import { publishAttempt } from './publish-attempt.ts';
import { probeAttempt, shardAttempt } from './shard-attempts.ts';
import { TrainAttempts } from './train-attempts.ts';

const PULSE_MS = 1_000;

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'auto' },
    engine: { type: 'string', default: 'onnxruntime' },
  },
});
const { s3, worker: settings } = readSettings(process.env);
const resolver = createStoreResolver({ s3 });
const runs = new RunCache(resolver);
const decoding = {
  concurrency: settings.decodeConcurrency ?? availableParallelism(),
  limits: {
    maxBytes: settings.maxImageBytes,
    maxPixels: settings.maxImagePixels,
    timeoutMs: settings.decodeTimeoutMs,
  },
};
const engine = {
  resolver,
  engine: values.engine,
  device: values.device,
  engineThreads: settings.engineThreads,
  tensorflowDirectory: settings.tensorflowDirectory,
};
const shared = {
  resolver,
  runs,
  models: new LoadedModels({ ...engine, onNotice: (text) => send({ type: 'notice', text }) }),
  decoder: createDecoder(decoding),
  preparer: createImagePreparer(decoding),
  fetches: new Semaphore(settings.fetchConcurrency),
  maxImageBytes: settings.maxImageBytes,
  send,
};
const training = new TrainAttempts({ ...engine, runs, send, fetchConcurrency: settings.fetchConcurrency });
const aborts = new Map<string, AbortController>();

function send(message: FromCompute): void {
  // The control process may be gone; then `disconnect` ends this one.
  if (process.connected) process.send?.(message);
}

async function start(message: StartMessage): Promise<void> {
  const { token } = message.task;
  const abort = new AbortController();
  aborts.set(token, abort);
  try {
    const result = await work(message, abort.signal);
    send({ type: 'done', token, result });
  } catch (error) {
    const { code, message } = asImagemillError(error);
    send({ type: 'failed', token, code, message });
  } finally {
    aborts.delete(token);
  }
}

function work(message: StartMessage, signal: AbortSignal): Promise<ResultOf<WorkKind>> {
  switch (message.kind) {
    case 'classify':
    case 'prepare':
      return shardAttempt(message.kind, message.task, signal, shared);
    case 'probe':
      return probeAttempt(message.task, signal, shared);
    case 'publish':
      return publish(message.task, signal);
    default:
      return training.run(message.task);
  }
}

async function publish(task: PublishTask, signal: AbortSignal): Promise<ResultOf<'publish'>> {
  const pulse = setInterval(() => send({ type: 'alive', token: task.token }), PULSE_MS);
  try {
    return await publishAttempt(task, signal, runs);
  } finally {
    clearInterval(pulse);
  }
}

process.on('message', (message: ToCompute) => {
  switch (message.type) {
    case 'start':
      void start(message);
      return;
    case 'abort':
      aborts.get(message.token)?.abort(new ImagemillError('SHUTDOWN', 'the attempt was stopped'));
      training.stop(message.token);
      return;
    default:
      training.receive(message);
  }
});
// Without its control process nothing here can be committed.
process.once('disconnect', () => process.exit(0));
// It may have died while these modules were loaded, when nobody listened yet.
if (!process.connected) process.exit(0);
// A terminal sends Ctrl-C to the whole group, but when to stop is for the control process to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

offerAsVictim();
const eventLoop = watchEventLoop();
setInterval(() => {
  const { p99Ms, recentP99Ms } = eventLoop.read();
  send({
    type: 'pulse',
    eventLoopDelayP99Ms: p99Ms,
    recentDelayP99Ms: recentP99Ms,
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: cpuSecondsOfThisProcess(),
  });
}, PULSE_MS);
send({ type: 'ready' });
