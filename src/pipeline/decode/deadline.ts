import { ImageError } from '../../contract/errors.ts';

/**
 * Waits for a decode, but not longer than `timeoutMs`. The decode itself cannot be stopped from here: it goes on until
 * libvips notices its own deadline, and its result is dropped.
 * @throws ImageError IMAGE_TIMEOUT
 */
export async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(
        new ImageError(
          'IMAGE_TIMEOUT',
          `expected an image that decodes within ${timeoutMs} ms, got one that takes longer`,
        ),
      );
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
