#!/usr/bin/env node
// Builds TensorFlow for Node where imagemill looks for it: `npm run setup:tensorflow`. docs/tensorflow.md is about it.
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { directoryOf } from './tensorflow/directory.mjs';
import { SetupFault } from './tensorflow/fault.mjs';
import { readPins } from './tensorflow/pins.mjs';
import { removeAll, setUp } from './tensorflow/set-up.mjs';

const USAGE = `npm run setup:tensorflow [-- OPTIONS]

Builds TensorFlow for Node in IMAGEMILL_TENSORFLOW, or in .cache/tensorflow of this folder.

  --cuda         for NVIDIA GPUs, with the CUDA libraries: 3.4 GB to download, 5.6 GB of disk
                 (without it, for the processor: 0.3 GB and 1.2 GB)
  --wheels DIR   take the wheels from DIR, not from the network
  --remove       remove what was built
  --quiet        say nothing but what went wrong
  --help         show this`;

/** Tests give pins of their own. */
const PINS =
  process.env.IMAGEMILL_TENSORFLOW_PINS ?? fileURLToPath(new URL('../infra/tensorflow', import.meta.url));

const interruption = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
  process.once(signal, () => interruption.abort(new SetupFault('interrupted: nothing was changed', 130)));
}

try {
  await main(readOptions());
} catch (error) {
  // An aborted stream or request says only that it was aborted.
  const fault = interruption.signal.aborted ? interruption.signal.reason : error;
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  console.error(`setup:tensorflow: ${fault instanceof SetupFault ? fault.message : describe(fault)}`);
  process.exitCode = fault instanceof SetupFault ? fault.exitCode : 1;
}

async function main(options) {
  const say = options.quiet ? () => {} : (text) => console.error(`${clear()}imagemill: ${text}`);
  const directory = directoryOf(process.env);
  if (options.help) {
    console.log(USAGE);
  } else if (options.remove) {
    const removed = await removeAll(directory);
    say(removed.length === 0 ? `nothing to remove: no ${directory}` : `removed ${removed.join(', ')}`);
  } else {
    await setUp(readPins(PINS, options.cuda ? 'cuda' : 'cpu'), {
      directory,
      wheelsFolder: options.wheels ?? null,
      say,
      progress: options.quiet ? () => {} : progressLine(),
      signal: interruption.signal,
    });
  }
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        cuda: { type: 'boolean', default: false },
        remove: { type: 'boolean', default: false },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        wheels: { type: 'string' },
      },
    });
    return values;
  } catch (error) {
    throw new SetupFault(`${error.message.split('. ')[0]}; --help shows the options`, 2);
  }
}

/** On a terminal one line that changes; elsewhere a line when something new is done, without the counting. */
function progressLine() {
  let last = '';
  return (text) => {
    const what = process.stderr.isTTY ? text : text.replace(/: \d+ of \d+ MB$/, '');
    if (process.stderr.isTTY) process.stderr.write(`${clear()}${what}`);
    else if (what !== last) console.error(what);
    last = what;
  };
}

function clear() {
  return process.stderr.isTTY ? '\r\u001b[K' : '';
}

/** What was not foreseen: a full disk, a missing permission. */
function describe(error) {
  return error.code === undefined ? (error.stack ?? String(error)) : error.message;
}
