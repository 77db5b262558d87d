/** One valid value of every document type, by its id. */
import { TORCHVISION_PREPROCESSING } from '../../src/contract/model-card.ts';
import { recipeByName } from '../../src/pipeline/recipe/recipes.ts';

const RUN = 'r-01ARZ3NDEKTSV4RRFFQ69G5FAV';
const TOKEN = '0123456789abcdef';
const TIME = '2026-01-02T03:04:05.678Z';
const DIGEST = `sha256:${'ab'.repeat(32)}`;

const object = { key: 'parts/000042.0123456789abcdef.parquet', bytes: 12, digest: DIGEST, rows: 3 };
const source = { uri: 's3://bucket/photos/', include: ['*.jpg'], exclude: [], limit: 10 };
const stages = { fetch: 0.5, decode: 1, compute: 2, write: 0 };
const attempt = { run: RUN, token: TOKEN, worker: 'host-1', committedAt: TIME };
const metrics = { loss: 0.25, top1Error: 0.5, top5Error: 0.1, items: 100 };
const sums = { pixels: '12', sums: ['1', '2', '3'], products: ['1', '2', '3', '4', '5', '6'] };
const matrix = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];
const totals = { items: 4, lossSum: 1.5, top1Correct: 2, top5Correct: 3, seconds: 9, dataWaitSeconds: 0.5 };
const tar = {
  tar: 'train/000000.tar',
  index: `train/000000.${TOKEN}.index.json`,
  indexDigest: DIGEST,
  items: 2,
  bytes: 4_096,
  digest: DIGEST,
};

const model = {
  schema: 'imagemill.model/1',
  uri: 's3://models/a.safetensors',
  digest: DIGEST,
  format: 'safetensors',
  architecture: 'alexnet-owt',
  classes: 2,
  parameters: 57_000_000,
  labels: ['cat', 'dog'],
  labelsFrom: 'model',
  preprocessing: TORCHVISION_PREPROCESSING,
  scores: 'logits',
  embeddingSize: 4_096,
};

const labelSpec = {
  kind: 'classify',
  source,
  model: { uri: model.uri, digest: DIGEST, labelsDigest: DIGEST },
  topK: 5,
  crops: 10,
  shardSize: 1_000,
  batchSize: 32,
  format: 'parquet',
  embeddings: false,
};

export function createDocuments(): Record<string, Record<string, unknown>> {
  const recipe = recipeByName('alexnet-2012');
  const documents = [...ledgerDocuments(), ...datasetDocuments(), ...trainingDocuments(), ...jobDocuments()];
  const trainSpec = {
    kind: 'train',
    dataset: { uri: 's3://bucket/dataset/', digest: DIGEST },
    recipe,
    seed: 7,
    checkpointSteps: 500,
    keepCheckpoints: 2,
  };
  const run = {
    run: RUN,
    createdAt: TIME,
    specDigest: DIGEST,
    fencing: 'conditional-put',
    versions: { imagemill: '0.1.0', node: '22.0.0' },
  };
  return Object.fromEntries([
    ...documents,
    ['imagemill.model/1', model],
    [
      'imagemill.run/1',
      { schema: 'imagemill.run/1', ...run, spec: { ...labelSpec, kind: 'classify' }, model },
    ],
    [
      'imagemill.run-index/1',
      {
        schema: 'imagemill.run-index/1',
        run: RUN,
        kind: 'train',
        out: 's3://o/',
        source: trainSpec.dataset.uri,
        createdAt: TIME,
      },
    ],
  ]);
}

type Entry = readonly [id: string, value: Record<string, unknown>];

const entry = (name: string, value: Record<string, unknown>): Entry => {
  const id = `imagemill.${name}/1`;
  return [id, { schema: id, ...value }];
};

function ledgerDocuments(): Entry[] {
  const items = [
    { uri: 's3://bucket/a.jpg', label: 'cat', bytes: 12 },
    { uri: 's3://b/t.tar#x.jpg', within: { uri: 's3://b/t.tar', offset: 512, bytes: 10 } },
  ];
  const counts = {
    items: 2,
    labelled: 1,
    errorsByCode: { IMAGE_EMPTY: 1 },
    bytesRead: 22,
    seconds: 1.5,
    stages,
  };
  const item = { index: 1, uri: 's3://bucket/a.jpg', label: 'cat', score: 0.25, width: 3, height: 4 };
  const distributions = { classes: { 281: 1 }, confidence: [0, 0, 0, 0, 0, 1, ...Array(14).fill(0)] };
  const labels = { ...distributions, leastConfident: [item] };
  const ledgerLabels = { ...distributions, leastConfident: [{ ...item, shard: 42 }] };
  return [
    entry('shard', { run: RUN, shard: 42, items, next: '["a.jpg"]' }),
    entry('plan', { run: RUN, shards: 3, items: 5 }),
    entry('commit', { ...attempt, shard: 42, part: object, errors: null, ...counts, labels }),
    entry('summary', {
      run: RUN,
      ...counts,
      errors: 1,
      shards: 3,
      startedAt: TIME,
      finishedAt: TIME,
      imagesPerSecond: 3,
      labels: ledgerLabels,
    }),
    entry('generation', {
      run: RUN,
      generation: 2,
      nested: RUN,
      directory: 'generations/0002-1/',
      items: 3,
      labelled: 2,
      errors: 1,
      errorsByCode: { IMAGE_TRUNCATED: 1 },
      finishedAt: TIME,
      labels: ledgerLabels,
    }),
    entry('failure', {
      run: RUN,
      failedAt: TIME,
      code: 'SHARDS_FAILED',
      message: 'one shard',
      shards: [{ shard: 1, message: 'x' }],
    }),
    entry('cancellation', { run: RUN, cancelledAt: TIME }),
    entry('prepared-shard', {
      run: RUN,
      shard: 42,
      train: { tar: object, index: object, items: 3 },
      val: null,
      sums,
      classes: [{ name: 'cat', items: 3 }],
    }),
  ];
}

function datasetDocuments(): Entry[] {
  const index = {
    tar: tar.tar,
    digest: DIGEST,
    bytes: 4_096,
    labels: ['cat', 'dog'],
    keys: ['000000-00000000', '000000-00000001'],
    classes: [0, 1],
    offsets: [512, 2_048],
    lengths: [10, 20],
    widths: [8, 9],
    heights: [7, 6],
    digests: [DIGEST, DIGEST],
    uris: ['s3://b/a.jpg', 's3://b/b.jpg'],
  };
  const statistics = {
    meanPixel: [1, 2, 3],
    covariance: matrix,
    eigenvalues: [3, 2, 1],
    eigenvectors: matrix,
  };
  return [
    entry('dataset-index', index),
    entry('dataset', {
      run: RUN,
      createdAt: TIME,
      source: source.uri,
      shortSide: 256,
      encoding: 'jpeg',
      valFraction: 0.1,
      seed: 0,
      classes: ['cat', 'dog'],
      splits: {
        train: { items: 2, itemsPerClass: [1, 1], shards: [tar] },
        val: { items: 0, itemsPerClass: [0, 0], shards: [] },
      },
      ...statistics,
      errors: 0,
      duplicates: { contents: 1, items: 2, conflictingLabels: 0 },
      digest: DIGEST,
    }),
  ];
}

function trainingDocuments(): Entry[] {
  const best = { epoch: 2, top1Error: 0.5, top5Error: 0.1, model: 'best.safetensors', digest: DIGEST };
  const speed = { seconds: 10, imagesPerSecond: 3 };
  const written = { checkpoint: object, metrics: object };
  const epoch = { train: metrics, validation: null, ...speed, dataWaitShare: 0.1, ...written };
  const last = { epoch: 3, model: 'last.safetensors', digest: DIGEST };
  const times = { startedAt: TIME, finishedAt: TIME, ...speed };
  return [
    entry('step-commit', { ...attempt, epoch: 3, step: 500, ...written, totals }),
    entry('epoch-commit', { ...attempt, epoch: 3, steps: 1_000, learningRate: 0.01, ...epoch }),
    entry('train-summary', { run: RUN, epochs: 3, stoppedEarly: false, best, last, items: 300, ...times }),
  ];
}

function jobDocuments(): Entry[] {
  const out = 's3://bucket/out/';
  const shard = { run: RUN, out, shard: 42, items: 1_000 };
  const schedule = {
    recipe: 'alexnet-2012',
    settings: ['epochs=3'],
    seed: 1,
    checkpointSteps: 500,
    keepCheckpoints: 2,
  };
  return [
    entry('plan-job', {
      run: RUN,
      out,
      generation: 1,
      phase: 'planning',
      planned: 0,
      plannedItems: 0,
      priority: 0,
    }),
    entry('classify-job', shard),
    entry('prepare-job', shard),
    entry('train-job', { run: RUN, out, epoch: 1, generation: 1, priority: 0 }),
    entry('train-schedule-job', { dataset: 's3://bucket/dataset/', out, ...schedule, priority: 0 }),
  ];
}
