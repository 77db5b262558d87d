import { ImagemillError } from '../../contract/errors.ts';

/** How long a page waits for what is still being read; what is missing comes with the next look. */
const READ_BUDGET_MS = 150;

/** Waits for a reading, but not long; it goes on in the background. A fault is the next reader's. */
export async function withinBudget(work: Promise<unknown>): Promise<void> {
  await foundWithinBudget(work);
}

/** The same, for what it finds; null where it takes too long, or where it cannot be read. */
export async function foundWithinBudget<T>(work: Promise<T>): Promise<T | null> {
  const guarded = work.catch((error: unknown) => {
    if (error instanceof ImagemillError) return null;
    throw error;
  });
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), READ_BUDGET_MS);
  });
  try {
    return await Promise.race([guarded, patience]);
  } finally {
    clearTimeout(timer);
    // One that fails after it was given up must not end the process.
    guarded.catch(() => {});
  }
}
