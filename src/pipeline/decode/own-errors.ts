import { ImageError } from '../../contract/errors.ts';
import { Gate } from '../batch/gate.ts';
import { Semaphore } from '../batch/semaphore.ts';

/** One call of libvips. */
interface Call {
  /** Whether another one ran at the same time, for any part of it. */
  hadCompany: boolean;
  readonly over: Promise<void>;
}

/** Longest wait for other calls, which must not suffer from a damaged image among them. */
const PATIENCE_MS = 2_000;

const running = new Set<Call>();
const gate = new Gate();
const alone = new Semaphore(1);

/**
 * Calls libvips so that an error is told in its own words. libvips collects what all threads say of errors in one text
 * for the whole process, which sharp empties after every call, failed or not: an image that fails beside others can get
 * their words, or none, and words are all there is to tell a truncated image from one with a harmless flaw. So what
 * failed beside others is done once more while nothing else runs. Every call that may run beside decodes goes through
 * here; calls must not be nested.
 * @throws what `call` throws; ImageError IMAGE_CORRUPT where it failed beside calls that take seconds
 */
export async function withOwnErrors<T>(call: () => Promise<T>): Promise<T> {
  await gate.passage();
  const { self, finish } = enter();
  try {
    return await call();
  } catch (error) {
    if (!self.hadCompany) throw error;
  } finally {
    finish();
  }
  return alone.run(() => callAlone(call));
}

async function callAlone<T>(call: () => Promise<T>): Promise<T> {
  gate.shut();
  await settled([...running]);
  const isAlone = running.size === 0;
  try {
    return await call();
  } catch (error) {
    if (isAlone) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new ImageError('IMAGE_CORRUPT', `expected a readable image, got "${words}" from the decoder`, {
      cause: error,
    });
  } finally {
    gate.open();
  }
}

function enter(): { self: Call; finish: () => void } {
  let resolve = (): void => {};
  const over = new Promise<void>((done) => (resolve = done));
  const self: Call = { hadCompany: running.size > 0, over };
  for (const other of running) other.hadCompany = true;
  running.add(self);
  const finish = (): void => {
    running.delete(self);
    resolve();
  };
  return { self, finish };
}

async function settled(calls: readonly Call[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE_MS)));
  await Promise.race([Promise.all(calls.map(({ over }) => over)), patience]);
  clearTimeout(timer);
}
