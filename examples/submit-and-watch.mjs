// Labels a collection by way of a dashboard, watches it, and prints what could not be labelled.
//
//   IMAGEMILL_URL=https://mill.example IMAGEMILL_TOKEN=… \
//     node examples/submit-and-watch.mjs s3://bucket/photos/ s3://models/alexnet.safetensors s3://bucket/labels/
import { ApiProblem, ImagemillClient } from 'imagemill/client';

const { IMAGEMILL_URL = 'http://127.0.0.1:3000', IMAGEMILL_TOKEN } = process.env;
const [source, model, out] = process.argv.slice(2);
if (source === undefined || model === undefined || out === undefined) {
  throw new Error('expected SOURCE MODEL OUT');
}

const mill = new ImagemillClient({
  baseUrl: IMAGEMILL_URL,
  ...(IMAGEMILL_TOKEN === undefined ? {} : { token: IMAGEMILL_TOKEN }),
});

try {
  const { run } = await mill.submit({ kind: 'classify', source, model, out });
  const { overview } = await mill.wait(run, {
    onChange: ({ state, progress, imagesPerSecond }) =>
      console.error(
        `${state} ${Math.round(progress * 100)} %, ${Math.round(imagesPerSecond ?? 0)} images per second`,
      ),
  });
  console.log(`${run} ${overview.state}: ${overview.items} images, ${overview.errors} errors`);
  for await (const { uri, code, message } of mill.errors(run)) console.log(`${uri}: ${message} [${code}]`);
  process.exitCode = overview.state === 'done' ? 0 : 1;
} catch (error) {
  if (!(error instanceof ApiProblem)) throw error;
  console.error(`refused: ${error.message}`);
  process.exitCode = 2;
}
