/** Child process: plans a run over a synthetic store, with its ledger in memory. Argument: number of keys. */
import { modelCard, TORCHVISION_PREPROCESSING } from '../src/contract/model-card.ts';
import { isShardedRun, runDocument } from '../src/contract/run.ts';
import { openSource } from '../src/pipeline/source/open-source.ts';
import { planRun } from '../src/producer/plan-run.ts';
import { MemoryBucket, MemoryStore } from '../src/storage/memory-store.ts';
import type { ListOptions, ObjectInfo, ObjectStore, StoreResolver } from '../src/storage/object-store.ts';
import { RunLedger } from '../src/storage/run-ledger.ts';
import type { PlanMeasurement } from './plan.ts';

const PAGE_KEYS = 1_000;
const SHARD_SIZE = 1_000;
const PHOTO_BYTES = 36_000;
const KIB = 1024;
const LISTED_AT = new Date('2026-01-01T00:00:00Z');
const DIGEST = `sha256:${'0'.repeat(64)}`;

/** Lists keys that exist only while they are listed; every other method is that of an empty store. */
class SyntheticStore extends MemoryStore {
  readonly #keys: number;

  constructor(keys: number) {
    super(new MemoryBucket('photos'));
    this.#keys = keys;
  }

  override async *list(_prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo[]> {
    const first = options.startAfter === undefined ? 0 : Number(/\d+/.exec(options.startAfter)?.[0]) + 1;
    for (let start = first; start < this.#keys; start += PAGE_KEYS) {
      const count = Math.min(PAGE_KEYS, this.#keys - start);
      yield Array.from({ length: count }, (_, offset) => ({
        key: `photo-${String(start + offset).padStart(9, '0')}.jpg`,
        bytes: PHOTO_BYTES,
        etag: '"0"',
        modifiedAt: LISTED_AT,
      }));
    }
  }
}

const keys = Number(process.argv[2] ?? 0);
const store: ObjectStore = new SyntheticStore(keys);
const resolver: StoreResolver = {
  open: () => store,
  resolve: () => ({ store, key: 'photos' }),
  close: () => {},
};
const run = runDocument.schema.parse({
  schema: runDocument.id,
  run: 'r-01ARZ3NDEKTSV4RRFFQ69G5FAV',
  createdAt: LISTED_AT.toISOString(),
  specDigest: DIGEST,
  spec: {
    kind: 'classify',
    source: { uri: store.rootUri },
    model: { uri: 'memory://models/model.safetensors', digest: DIGEST },
    topK: 5,
    crops: 1,
    shardSize: SHARD_SIZE,
    batchSize: 64,
    format: 'parquet',
    embeddings: false,
  },
  model: {
    schema: modelCard.id,
    uri: 'memory://models/model.safetensors',
    digest: DIGEST,
    format: 'safetensors',
    architecture: 'alexnet-owt',
    classes: 1_000,
    parameters: 61_100_840,
    labels: ['0'],
    labelsFrom: 'numbered',
    preprocessing: TORCHVISION_PREPROCESSING,
    scores: 'logits',
    embeddingSize: 4_096,
  },
  fencing: 'conditional-put',
  versions: { imagemill: '0', node: process.versions.node },
});
if (!isShardedRun(run)) throw new Error('expected a run with a source');
const ledger = new RunLedger(new MemoryStore(new MemoryBucket('ledger')));
const baseBytes = process.memoryUsage.rss();

const startedAtMs = performance.now();
let [shards, items] = [0, 0];
for await (const chunk of planRun(ledger, run, await openSource(run.spec.source, resolver), 0)) {
  shards += chunk.length;
  items += chunk.reduce((sum, shard) => sum + shard.items, 0);
}
const seconds = (performance.now() - startedAtMs) / 1_000;
if (items !== keys) throw new Error(`expected ${keys} items in the plan, got ${items}`);
const result: PlanMeasurement = {
  keys,
  shards,
  seconds,
  peakBytes: process.resourceUsage().maxRSS * KIB,
  baseBytes,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
