import { writeFileSync } from 'node:fs';

const OOM_SCORE_ADJUSTMENT = '500';

/** Where memory runs out, the kernel shall end this process and not the one that can replace it. */
export function offerAsVictim(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE_ADJUSTMENT);
  } catch {
    // Not a Linux, or not allowed: then the kernel chooses by size, which most often is the same.
  }
}
