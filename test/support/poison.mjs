// Loaded into every process of a command (NODE_OPTIONS=--import): images that end with one of these words do to the
// process that decodes them what a fault of native code does. Hooks in where libvips is called.

const DEADLY = {
  // As a segmentation fault: no handler runs.
  'poison:crash': () => process.kill(process.pid, 'SIGSEGV'),
  // As an endless loop that nothing interrupts.
  'poison:hang': () => {
    for (;;);
  },
  // As a bomb that no limit saw: memory until there is no more.
  'poison:memory': () => {
    const held = [];
    for (;;) held.push('x'.repeat(2 ** 16).split(''));
  },
};
const LONGEST_WORD = 16;

function meet(image) {
  const bytes = image?.input?.buffer;
  if (bytes === undefined) return;
  const tail = Buffer.from(bytes).subarray(-LONGEST_WORD).toString('latin1');
  for (const [word, die] of Object.entries(DEADLY)) if (tail.endsWith(word)) die();
}

const dlopen = process.dlopen.bind(process);
process.dlopen = function (module, filename, ...flags) {
  dlopen(module, filename, ...flags);
  if (!/sharp.*\.node$/.test(filename)) return;
  const native = module.exports;
  const deadly = (name) => (image, callback) => {
    meet(image);
    return native[name](image, callback);
  };
  module.exports = { ...native, metadata: deadly('metadata'), pipeline: deadly('pipeline') };
};
