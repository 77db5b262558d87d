/** A name is near another where at most this share of its letters differs. */
const MAX_DISTANCE_SHARE = 1 / 3;
/** Longer names than this are not compared: no name of ours is. */
const MAX_LENGTH = 64;

/**
 * The known name that was probably meant; undefined where none is near. Letter case is ignored, and the last part of
 * a dotted name may stand for the whole (`rotationDegrees` for `augmentation.rotationDegrees`).
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase();
  if (wanted.length === 0 || wanted.length > MAX_LENGTH) return undefined;
  const ranked = known
    .map((candidate) => {
      const whole = candidate.toLowerCase();
      const last = whole.slice(whole.lastIndexOf('.') + 1);
      return { candidate, distance: Math.min(editDistance(wanted, whole), editDistance(wanted, last)) };
    })
    .toSorted((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= wanted.length * MAX_DISTANCE_SHARE
    ? best.candidate
    : undefined;
}

/** Levenshtein distance: insertions, deletions and replacements of one letter. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
