// `npm run bench:classify`, and `node scripts/bench.mjs classify|dashboard|gpu|memory|plan|train|mnist`: sets the machine up, builds, and runs
// one benchmark. See docs/benchmarks.md.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = process.argv.slice(2);

// A GPU may be in a machine without a network, where nothing can be installed; its benchmark needs no queue.
setUp(args.includes('gpu') ? { redis: false } : {});
if (!args.includes('--skip-peers')) {
  if (args.includes('classify')) installTransformers();
  if (args.includes('classify') || args.includes('train')) installTorchvision();
}
// Whoever names a built command wants that one measured.
if (!args.some((arg) => arg.startsWith('--cli'))) run('scripts/build.mjs');
run('--import', 'tsx', fileURLToPath(new URL('../bench/main.ts', import.meta.url)), ...args);

function run(...nodeArgs) {
  const { status } = spawnSync(process.execPath, nodeArgs, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** A failure is told and leaves the peer out; the rest can still be measured. */
function installTransformers() {
  const folder = `${root}/bench/peers`;
  const installed = `${folder}/node_modules/.package-lock.json`;
  const lock = `${folder}/package-lock.json`;
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.error('bench: installing the peers of bench/peers');
  try {
    // Scripts are left out: the one there is fetches a CUDA library that nothing here uses.
    execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      stdio: 'inherit',
    });
  } catch (error) {
    console.error(`bench: ${error.message}`);
  }
}

function installTorchvision() {
  // Without OpenBLAS, torch falls back to the reference BLAS, which is several times slower.
  const packages = ['python3-torch', 'python3-torchvision', 'python3-pil', 'libopenblas0-pthread'];
  const isThere = (name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status === 0;
  if (packages.every(isThere) || process.getuid?.() !== 0) return;
  console.error(`bench: installing ${packages.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const stdio = ['ignore', 'ignore', 'inherit'];
  spawnSync('apt-get', ['update', '-qq'], { env, stdio });
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, stdio });
}
