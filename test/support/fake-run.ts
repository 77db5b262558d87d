import { modelCard, TORCHVISION_PREPROCESSING } from '../../src/contract/model-card.ts';
import { runDocument, type ClassifyRun, type ClassifySpec } from '../../src/contract/run.ts';

/** A classify run as a submit would have written it. */
export function fakeRun(spec: Partial<ClassifySpec> = {}): ClassifyRun {
  return {
    schema: runDocument.id,
    run: 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA',
    createdAt: '2026-01-02T03:04:05.000Z',
    specDigest: 'sha256:00',
    spec: {
      kind: 'classify',
      source: { uri: 'memory://source/', include: [], exclude: [] },
      model: { uri: 'memory://model/m.safetensors', digest: 'sha256:11' },
      topK: 2,
      crops: 1,
      shardSize: 10,
      batchSize: 4,
      format: 'jsonl',
      embeddings: false,
      ...spec,
    },
    model: {
      schema: modelCard.id,
      uri: 'memory://model/m.safetensors',
      digest: 'sha256:11',
      format: 'safetensors',
      architecture: 'alexnet-small',
      classes: 3,
      parameters: 1,
      labels: ['cat', 'dog', 'bird'],
      labelsFrom: 'model',
      preprocessing: { ...TORCHVISION_PREPROCESSING, crop: { height: 2, width: 2 } },
      scores: 'logits',
      embeddingSize: 4,
    },
    fencing: 'conditional-put',
    versions: { imagemill: '0.0.0', node: '20.0.0' },
  };
}
