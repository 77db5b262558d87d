/**
 * Ends the test process when one input keeps a parser busy without end: no timer of the busy thread would fire. The
 * input is written to standard error first, so that it can become a regression file.
 */
import { Worker } from 'node:worker_threads';

/** Seconds that one input may take before the process is ended: far beyond any deadline, short of a patient human. */
const STUCK_SECONDS = 30;
const MAX_NAME_BYTES = 256;
const MAX_INPUT_BYTES = 64 * 1024;

/** Slots of the shared numbers. */
const TURN = 0;
const BUSY = 1;
const NAME_BYTES = 2;
const INPUT_BYTES = 3;
const SLOTS = 4;

const WATCH = `
const { workerData } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const { numbers, name, input, seconds } = workerData;
const text = (bytes, length) => Buffer.from(bytes.subarray(0, length));
let [seen, since] = [-1, 0];
for (;;) {
  Atomics.wait(numbers, ${TURN}, Atomics.load(numbers, ${TURN}), 1000);
  const turn = Atomics.load(numbers, ${TURN});
  const busy = Atomics.load(numbers, ${BUSY}) === 1;
  if (!busy || turn !== seen) { [seen, since] = [turn, Date.now()]; continue; }
  if (Date.now() - since < seconds * 1000) continue;
  writeSync(2, '\\nfuzz: ' + text(name, numbers[${NAME_BYTES}]) + ': no end after ' + seconds + ' s; the input, base64: ' +
    text(input, numbers[${INPUT_BYTES}]).toString('base64') + '\\n');
  process.kill(process.pid, 'SIGKILL');
}
`;

const numbers = new Int32Array(new SharedArrayBuffer(SLOTS * Int32Array.BYTES_PER_ELEMENT));
const name = new Uint8Array(new SharedArrayBuffer(MAX_NAME_BYTES));
const input = new Uint8Array(new SharedArrayBuffer(MAX_INPUT_BYTES));
let watcher: Worker | undefined;

/** Runs `action` on an input under watch. */
export async function watched<T>(parser: string, bytes: Uint8Array, action: () => Promise<T>): Promise<T> {
  if (watcher === undefined) {
    watcher = new Worker(WATCH, {
      eval: true,
      workerData: { numbers, name, input, seconds: STUCK_SECONDS },
    });
    watcher.unref();
  }
  numbers[NAME_BYTES] = new TextEncoder().encodeInto(parser, name).written;
  numbers[INPUT_BYTES] = Math.min(bytes.length, MAX_INPUT_BYTES);
  input.set(bytes.subarray(0, MAX_INPUT_BYTES));
  Atomics.add(numbers, TURN, 1);
  Atomics.store(numbers, BUSY, 1);
  try {
    return await action();
  } finally {
    Atomics.store(numbers, BUSY, 0);
  }
}
