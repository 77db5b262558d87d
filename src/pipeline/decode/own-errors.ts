import { Gate } from '../batch/gate.ts';
import { Semaphore } from '../batch/semaphore.ts';

/** One call of libvips among others. */
interface Call {
  hasFailed: boolean;
  /** Whether one beside it has failed. */
  isSpoilt: boolean;
  readonly over: Promise<void>;
}

/** Longest wait for other calls, which must not suffer from a damaged image among them. */
const PATIENCE_MS = 2_000;

const running = new Set<Call>();
const gate = new Gate();
const alone = new Semaphore(1);

/**
 * Calls libvips so that an error is told in its own words. libvips collects what all threads say of errors in one text
 * for the whole process: of two images that fail at the same moment, one can get the words of the other, or none, and
 * words are all there is to tell a truncated image from a corrupt one. So what failed beside another failure is done
 * once more while nothing else runs. Beside calls that take seconds the words may still be another's.
 * @throws what `call` throws
 */
export async function withOwnErrors<T>(call: () => Promise<T>): Promise<T> {
  await gate.passage();
  const startedAtMs = performance.now();
  const { self, finish } = enter();
  try {
    return await call();
  } catch (error) {
    self.hasFailed = true;
    finish();
    const others = [...running];
    for (const other of others) other.isSpoilt = true;
    if (performance.now() - startedAtMs > PATIENCE_MS) throw error;
    if (!self.isSpoilt) {
      // One that has written to the text may not have come back yet.
      await settled(others);
      if (!others.some(({ hasFailed }) => hasFailed)) throw error;
    }
  } finally {
    finish();
  }
  return alone.run(() => callAlone(call));
}

async function callAlone<T>(call: () => Promise<T>): Promise<T> {
  gate.shut();
  try {
    await settled([...running]);
    return await call();
  } finally {
    gate.open();
  }
}

function enter(): { self: Call; finish: () => void } {
  let resolve = (): void => {};
  const over = new Promise<void>((done) => (resolve = done));
  const self: Call = { hasFailed: false, isSpoilt: false, over };
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
