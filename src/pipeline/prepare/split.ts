import { createHash } from 'node:crypto';
import type { Split } from '../../contract/dataset.ts';

/** Bytes of the hash that become the number in [0, 1): 48 bits, which a double holds exactly. */
const DRAW_BYTES = 6;

/**
 * Which split an image belongs to: `val` where a number in [0, 1), drawn from the seed and the content by SHA-256, is
 * below `valFraction`.
 *
 * A function of the content alone, so that an image stays in its split however the collection grows, and one content
 * is never in both splits, whatever its names and labels are. It follows that the split can be stratified in
 * expectation only: to give a class exactly its share, an image's place would have to depend on the other images of
 * the class, and a new one would move old ones from one split to the other. Here every class is given the same
 * expected share, and of n images the number in `val` is binomial: n·f ± √(n·f·(1−f)).
 * @param digest `sha256:<hex>` of the original bytes
 */
export function splitOf(digest: string, { seed, valFraction }: { seed: number; valFraction: number }): Split {
  return drawOf(digest, seed) < valFraction ? 'val' : 'train';
}

function drawOf(digest: string, seed: number): number {
  const hash = createHash('sha256').update(`imagemill.split/1 ${seed} ${digest}`).digest();
  return hash.readUIntBE(0, DRAW_BYTES) / 2 ** (8 * DRAW_BYTES);
}
