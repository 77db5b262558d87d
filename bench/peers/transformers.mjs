// The image-classification pipeline of transformers.js, as its documentation shows it, on photos from disk.
// Arguments: model folder, file with one path per line, batch size. Prints {images, seconds, ids} as JSON.
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { env, pipeline } from '@huggingface/transformers';

const [modelFolder, listFile, batchSizeText] = process.argv.slice(2);
const batchSize = Number(batchSizeText);
const paths = readFileSync(listFile, 'utf8').trim().split('\n');

env.allowRemoteModels = false;
env.localModelPath = `${dirname(modelFolder)}/`;
const classify = await pipeline('image-classification', basename(modelFolder), {
  device: 'cpu',
  dtype: 'fp32',
});

async function label(batch) {
  const results = await classify(batch.length === 1 ? batch[0] : batch, { top_k: 5 });
  const perImage = batch.length === 1 ? [results] : results;
  return perImage.map(([best]) => Number(best.label));
}

for (let index = 0; index < 4; index++) await label(paths.slice(0, batchSize));
const ids = [];
const startedAtMs = performance.now();
for (let start = 0; start < paths.length; start += batchSize) {
  ids.push(...(await label(paths.slice(start, start + batchSize))));
}
const seconds = (performance.now() - startedAtMs) / 1_000;
console.log(JSON.stringify({ images: paths.length, seconds, ids }));
process.exit(0);
