import { ImageError, ImagemillError } from '../../contract/errors.ts';
import type { Shard } from '../../contract/ledger.ts';
import { classOfItem } from './class-of-item.ts';
import type { ClassCounts } from './merge-shards.ts';

/**
 * Refuses classes that cannot be trained on: fewer than two, or one without training images.
 * @param planned all shards of the run, read only where a class is to be refused: they tell how many images it had
 * @throws ImagemillError DATASET_CLASSES
 */
export async function refuseUntrainableClasses(
  classes: readonly ClassCounts[],
  sourceUri: string,
  planned: () => AsyncIterable<Shard>,
): Promise<void> {
  const untrainable = classes.filter(({ train }) => train === 0);
  const [first] = untrainable;
  if (first !== undefined) {
    const images = await countImages(first.name, sourceUri, planned());
    const others = untrainable.length - 1;
    const more =
      others === 0 ? '' : ` (and ${others} more ${others === 1 ? 'class' : 'classes'} without any)`;
    throw new ImagemillError(
      'DATASET_CLASSES',
      `class ${JSON.stringify(first.name)}: expected training images, got none: ${reasonOf(first, images)}${more}`,
    );
  }
  if (classes.length >= 2) return;
  const found = classes[0] === undefined ? 'none' : `one, ${JSON.stringify(classes[0].name)}`;
  throw new ImagemillError('DATASET_CLASSES', `${sourceUri}: expected two classes or more, got ${found}`);
}

function reasonOf({ val }: ClassCounts, images: number): string {
  const broken = images - val;
  const advice = 'use another --seed or a smaller --val-fraction';
  if (val === 0) return `${allOf(images)} broken (see errors/)`;
  if (broken === 0) return `${allOf(images)} in the validation split; ${advice}`;
  return `of its ${images} images ${broken} ${broken === 1 ? 'is' : 'are'} broken (see errors/) and ${val} ${val === 1 ? 'is' : 'are'} in the validation split; ${advice}`;
}

function allOf(images: number): string {
  return images === 1 ? 'its only image is' : `all ${images} of its images are`;
}

async function countImages(name: string, sourceUri: string, planned: AsyncIterable<Shard>): Promise<number> {
  let count = 0;
  for await (const { items } of planned) {
    for (const item of items) {
      try {
        if (classOfItem(item, sourceUri) === name) count += 1;
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
    }
  }
  return count;
}
