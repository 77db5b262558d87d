/** How fast images are labelled, against what the machine could do and against others. */
import { join } from 'node:path';
import { measureInChild } from './child.ts';
import { preparePeers, type Peer, type PeerResult } from './compare-peers.ts';
import { listPhotos } from './inputs.ts';
import { ALLOCATOR_ENVIRONMENT, CACHE, CORES, describeMachine } from './machine.ts';
import { prepareModel, type BenchModel } from './models.ts';
import { preparePhotos } from './photos.ts';
import { progress, row, say, sayChecks, writeResults, type Check } from './report.ts';
import { Service, type DelayP99Ms, type MeasuredRun } from './service.ts';
import { agreement, median, medianRatio, roofline } from './statistics.ts';

const ARCHITECTURE = 'alexnet-owt';
const BATCH_SIZE = 64;
const SHARD_SIZE = 240;
const WARM_UP_IMAGES = 256;
/** Threads that libuv has in a worker beside those that decode. */
const SPARE_POOL_THREADS = 2;

const TARGETS = {
  roofline: { kind: 'at-least', value: 0.85 },
  'transformers.js': { kind: 'at-least', value: 2.3 },
  torchvision: { kind: 'at-least', value: 1.1 },
  agreement: { kind: 'at-least', value: 98 },
  eventLoopDelay: { kind: 'below', value: 100 },
} as const;

export interface ClassifyBenchOptions {
  readonly images: number;
  readonly repetitions: number;
  readonly skipPeers: boolean;
  /** Path of the built command. */
  readonly cli: string;
}

interface Repetition {
  readonly decode: number;
  readonly compute: number;
  readonly endToEnd: MeasuredRun & { readonly imagesPerSecond: number; readonly delays: DelayP99Ms };
  readonly ids: number[];
  /** By name. */
  readonly peers: ReadonlyMap<string, { readonly imagesPerSecond: number; readonly agreement: number }>;
}

export async function benchClassify(options: ClassifyBenchOptions): Promise<void> {
  const { images, repetitions } = options;
  const folder = join(CACHE, 'photos');
  progress(`preparing ${images} photos and the model in ${CACHE}`);
  await preparePhotos(folder, images);
  const model = await prepareModel(CACHE, ARCHITECTURE);
  const photos = await listPhotos(folder, images);
  const prepared = options.skipPeers ? [] : await preparePeers(model, photos);
  const peers = prepared.filter((peer): peer is Peer => 'run' in peer);
  const skipped = prepared.flatMap((peer) => ('skipped' in peer ? [peer] : []));

  const measured: Repetition[] = [];
  for (let index = 1; index <= repetitions; index++) {
    progress(`repetition ${index} of ${repetitions}`);
    measured.push(await measureOnce({ folder, photos, model, peers, options }));
  }

  sayTable(measured, peers, options);
  for (const { name, skipped: reason } of skipped) say(row(name, [`skipped: ${reason}`]));
  const checks = checksOf(measured, peers);
  say();
  sayChecks(checks);
  await writeResults('classify', {
    settings: {
      images,
      repetitions,
      architecture: ARCHITECTURE,
      batchSize: BATCH_SIZE,
      shardSize: SHARD_SIZE,
    },
    checks,
    peers: peers.map(({ name, setting, trial }) => ({ name, setting, trialImagesPerSecond: trial })),
    skipped,
    repetitions: measured.map(({ ids, peers, endToEnd, ...rest }) => ({
      ...rest,
      endToEnd: { ...endToEnd, out: undefined },
      distinctClasses: new Set(ids).size,
      peers: Object.fromEntries(peers),
    })),
  });
}

/** Everything once, one after the other, so that whatever slows the machine for minutes slows all of them. */
async function measureOnce(input: {
  folder: string;
  photos: readonly string[];
  model: BenchModel;
  peers: readonly Peer[];
  options: ClassifyBenchOptions;
}): Promise<Repetition> {
  const { folder, photos, model, peers } = input;
  const count = String(photos.length);
  const decode = await measureInChild<PeerResult>(
    new URL('./measure-decode.ts', import.meta.url),
    [folder, count],
    { env: { ...ALLOCATOR_ENVIRONMENT, UV_THREADPOOL_SIZE: String(CORES + SPARE_POOL_THREADS) } },
  );
  const compute = await measureInChild<PeerResult>(new URL('./measure-compute.ts', import.meta.url), [
    model.safetensors,
    String(BATCH_SIZE),
    count,
  ]);
  const { endToEnd, ids } = await measureEndToEnd(folder, photos.length, model, input.options.cli);
  const results = new Map<string, { imagesPerSecond: number; agreement: number }>();
  for (const peer of peers) {
    const result = await peer.run(photos);
    results.set(peer.name, { imagesPerSecond: speedOf(result), agreement: agreement(ids, result.ids) });
  }
  return { decode: speedOf(decode), compute: speedOf(compute), endToEnd, ids, peers: results };
}

/** A worker that has labelled something before takes one run from the queue. */
async function measureEndToEnd(
  photos: string,
  images: number,
  { safetensors: model }: BenchModel,
  cli: string,
): Promise<Pick<Repetition, 'endToEnd' | 'ids'>> {
  const service = await Service.start(cli);
  try {
    const warmUp = Math.min(WARM_UP_IMAGES, images);
    await service.classify({ photos, model, out: 'warm-up', shardSize: SHARD_SIZE, limit: warmUp });
    const run = await service.classify({
      photos,
      model,
      out: 'measured',
      shardSize: SHARD_SIZE,
      limit: images,
    });
    if (run.labelled !== images) throw new Error(`expected ${images} labelled images, got ${run.labelled}`);
    const ids = await service.bestIds(run.out);
    const delays = await service.stop();
    return { endToEnd: { ...run, imagesPerSecond: run.items / run.seconds, delays }, ids };
  } finally {
    await service.kill();
  }
}

function speedOf({ images, seconds }: { images: number; seconds: number }): number {
  return images / seconds;
}

function rooflineOf({ decode, compute }: Repetition): number {
  return roofline(decode, compute);
}

function sayTable(
  measured: readonly Repetition[],
  peers: readonly Peer[],
  { images, repetitions }: ClassifyBenchOptions,
): void {
  const { cpu } = describeMachine();
  say(
    `\n${images} photos, ${ARCHITECTURE} in float32, batches of ${BATCH_SIZE}, ${CORES} cores (${cpu}), ${repetitions} repetitions\n`,
  );
  const line = (label: string, read: (repetition: Repetition) => number) => {
    const values = measured.map(read);
    say(row(label, [...values, median(values)]));
  };
  say(row('images/s', [...measured.map((_, index) => `run ${index + 1}`), 'median']));
  line('decoding alone', ({ decode }) => decode);
  line('computing alone', ({ compute }) => compute);
  line('roofline: both, sharing the cores', rooflineOf);
  line('imagemill, through the queue', ({ endToEnd }) => endToEnd.imagesPerSecond);
  for (const { name, setting } of peers) {
    line(`${name} (${setting})`, ({ peers }) => peers.get(name)?.imagesPerSecond ?? Number.NaN);
  }
  say();
  line('cores busy with the run', ({ endToEnd }) => endToEnd.coresBusy);
  line('cores busy with anything else', ({ endToEnd }) => endToEnd.coresBusyElsewhere);
  line('seconds before the first shard', ({ endToEnd }) => endToEnd.secondsBeforeFirstShard);
}

function checksOf(measured: readonly Repetition[], peers: readonly Peer[]): Check[] {
  const speeds = measured.map(({ endToEnd }) => endToEnd.imagesPerSecond);
  const ratio = (read: (repetition: Repetition) => number) => medianRatio(speeds, measured.map(read));
  const checks: Check[] = [
    { name: 'imagemill ÷ roofline', value: ratio(rooflineOf), unit: '×', target: TARGETS.roofline },
  ];
  for (const { name } of peers) {
    if (name !== 'transformers.js' && name !== 'torchvision') continue;
    const read = (repetition: Repetition) => repetition.peers.get(name);
    checks.push({
      name: `imagemill ÷ ${name}`,
      value: ratio((repetition) => read(repetition)?.imagesPerSecond ?? Number.NaN),
      unit: '×',
      target: TARGETS[name],
    });
    checks.push({
      name: `same best class as ${name}`,
      value: 100 * median(measured.map((repetition) => read(repetition)?.agreement ?? Number.NaN)),
      unit: '%',
      target: TARGETS.agreement,
    });
  }
  for (const side of ['control', 'compute'] as const) {
    checks.push({
      name: `event loop delay p99, ${side} process`,
      value: median(measured.map(({ endToEnd }) => endToEnd.delays[side])),
      unit: 'ms',
      target: TARGETS.eventLoopDelay,
    });
  }
  return checks;
}
