import { writeFile } from 'node:fs/promises';
import { EXIT, ImagemillError } from '../contract/errors.ts';
import { drawBatch } from '../pipeline/training/draw-batch.ts';
import { setUpTraining } from '../pipeline/training/training-setup.ts';
import { asTrainRun } from './train.ts';
import type { Context } from './context.ts';

export interface TrainBatchOptions {
  readonly epoch: number;
  readonly step: number;
  readonly png: string;
  readonly json: boolean;
}

/** `imagemill train-batch RUN`: draws a minibatch exactly as the model saw it, before normalisation. */
export async function trainBatch(
  context: Context,
  reference: string,
  { epoch, step, png, json }: TrainBatchOptions,
): Promise<number> {
  const ledger = await context.index.open(reference);
  const run = asTrainRun(await ledger.readRun());
  const setup = await setUpTraining(run, context.resolver, context.interrupted);
  const { picture, labels } = await drawBatch(setup, epoch, step, context.interrupted);
  await writePicture(png, picture);
  context.stdout.write(
    json
      ? `${JSON.stringify({ run: run.run, epoch, step, png, labels })}\n`
      : `${labels.length} images of epoch ${epoch}, step ${step}, row by row: ${labels.join(', ')}\n`,
  );
  return EXIT.done;
}

async function writePicture(file: string, picture: Uint8Array): Promise<void> {
  try {
    await writeFile(file, picture);
  } catch (error) {
    const { message } = error as Error;
    throw new ImagemillError('OUTPUT_NOT_WRITABLE', `expected a file to write at ${file}, got ${message}`);
  }
}
