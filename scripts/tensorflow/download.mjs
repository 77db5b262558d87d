// Downloads one pinned file: resumes after a break, and knows at the last byte whether it is the right file.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetupFault } from './fault.mjs';

/** @import { Wheel } from './pins.mjs' */

const TRIES = 5;
/** A server that sends nothing for so long is asked again. */
const IDLE_LIMIT_MS = 60_000;
/** For one file in all; the largest has 717 MB. */
const TOTAL_LIMIT_MS = 2 * 60 * 60_000;
const FIRST_PAUSE_MS = 1_000;
const REPORT_EVERY_MS = 1_000;
/** Other answers of 400 to 499 stay what they are however often one asks. */
const WORTH_ASKING_AGAIN = new Set([408, 425, 429]);

/**
 * @param {Pick<Wheel, 'file' | 'url' | 'bytes' | 'sha256'>} wanted
 * @param {string} path that is not there yet
 * @param {object} options
 * @param {(text: string) => void} options.progress
 * @param {AbortSignal} options.signal
 * @param {number} [options.pauseMs] before the second try; doubles from try to try
 * @throws {SetupFault} where it cannot be had, or is another file than expected; what is at `path` is then not to be used
 */
export async function download(wanted, path, { progress, signal, pauseMs = FIRST_PAUSE_MS }) {
  const file = await open(path, 'wx');
  const state = { received: 0, hash: createHash('sha256') };
  const endMs = Date.now() + TOTAL_LIMIT_MS;
  try {
    for (let number = 1; state.received < wanted.bytes; number++) {
      try {
        await receive(wanted, file, state, { progress, signal, endMs });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof SetupFault) throw error;
        if (number === TRIES || Date.now() > endMs) throw gaveUp(wanted, state.received, number, error);
        await sleep(pauseMs * 2 ** (number - 1), undefined, { signal });
      }
    }
  } finally {
    await file.close();
  }
  const got = state.hash.digest('hex');
  if (got !== wanted.sha256) {
    throw new SetupFault(
      `expected SHA-256 ${wanted.sha256}, got ${got}: what ${wanted.url} sent is not the pinned file; nothing of it was unpacked`,
    );
  }
}

async function receive(wanted, file, state, { progress, signal, endMs }) {
  const idle = new AbortController();
  const alarm = setTimeout(
    () => idle.abort(new Error(`nothing came for ${IDLE_LIMIT_MS / 1000} s`)),
    IDLE_LIMIT_MS,
  );
  try {
    const reply = await ask(wanted.url, state.received, AbortSignal.any([signal, idle.signal]));
    // A server that knows no ranges begins anew.
    if (reply.status === 200 && state.received > 0) {
      state.received = 0;
      state.hash = createHash('sha256');
    }
    let reportedMs = 0;
    for await (const chunk of reply.body) {
      alarm.refresh();
      if (Date.now() > endMs) throw new Error(`it took more than ${TOTAL_LIMIT_MS / 60_000} minutes`);
      if (state.received + chunk.length > wanted.bytes) {
        throw new SetupFault(
          `expected ${wanted.bytes} bytes from ${wanted.url}, got more: it is not the pinned file`,
        );
      }
      await file.write(chunk, 0, chunk.length, state.received);
      state.hash.update(chunk);
      state.received += chunk.length;
      if (Date.now() - reportedMs < REPORT_EVERY_MS) continue;
      reportedMs = Date.now();
      progress(`${megabytes(state.received)} of ${megabytes(wanted.bytes)} MB`);
    }
  } finally {
    clearTimeout(alarm);
  }
  if (state.received < wanted.bytes) throw new Error('the connection ended early');
}

async function ask(url, from, signal) {
  const headers = from === 0 ? {} : { range: `bytes=${from}-` };
  const reply = await fetch(url, { headers, signal });
  const isContinued =
    reply.status === 206 && (reply.headers.get('content-range') ?? '').startsWith(`bytes ${from}-`);
  if (reply.status === 200 || isContinued) return reply;
  await reply.body?.cancel();
  const { status } = reply;
  if (status >= 400 && status < 500 && !WORTH_ASKING_AGAIN.has(status)) {
    throw new SetupFault(
      `expected ${url}, got HTTP ${status}; get it elsewhere and give its folder with --wheels`,
    );
  }
  throw new Error(`HTTP ${status}`);
}

function gaveUp({ url, bytes }, received, tries, error) {
  const why = error.cause?.code ?? error.cause?.message ?? error.message;
  return new SetupFault(
    `expected ${url}, got ${megabytes(received)} of ${megabytes(bytes)} MB in ${tries} tries: ${why}; without a network, give a folder with the wheels: --wheels DIR`,
  );
}

const megabytes = (bytes) => Math.round(bytes / 1e6);
