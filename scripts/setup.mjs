// Makes a fresh machine ready, with nothing but Node's own modules: npm packages, redis-server, and for the tests a
// real S3 server, Prometheus's tool, a Docker engine and TensorFlow. Every step is skipped where its result is there.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { has, succeeds, tryInstall } from './distribution-packages.mjs';
import { directoryOf, readBuilt } from './tensorflow/directory.mjs';
import { lastLineOf } from './tensorflow/fault.mjs';

/** The tests can do without it. */
const TENSORFLOW_LIMIT_MS = 10 * 60_000;

const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {{ tests?: boolean, redis?: boolean }} [needs] redis: false where nothing goes through a queue */
export function setUp(needs = {}) {
  installPackages();
  const { redis = !process.env.REDIS_URL } = needs;
  if (redis || needs.tests) requireRedisServer(needs.tests === true);
  if (needs.tests) tryInstall(['radosgw', 'ceph-mon', 'ceph-osd'], 'radosgw');
  if (needs.tests) tryInstall(['prometheus'], 'promtool');
  if (needs.tests) tryInstall(['chromium', 'fonts-dejavu-core'], 'chromium');
  if (needs.tests) tryDocker();
  if (needs.tests) tryTensorflow();
}

/** Installs what the tests of containers need; who goes without sees them skipped. They start the engine themselves. */
function tryDocker() {
  // A client alone may be there, and an engine need not be on this machine.
  if (!succeeds('docker', ['version'])) tryInstall(['docker.io', 'iptables'], 'dockerd');
  if (!has('docker') || succeeds('docker', ['compose', 'version'])) return;
  // Version 2 where the distribution has it as a package of its own.
  const package_ = succeeds('apt-cache', ['show', 'docker-compose-v2'])
    ? 'docker-compose-v2'
    : 'docker-compose';
  tryInstall([package_], 'docker-compose');
}

/** Builds TensorFlow, in about a minute, unless one is built; without it the tests that need it are skipped. */
function tryTensorflow() {
  if (readBuilt(directoryOf(process.env)) !== null) return;
  say('building TensorFlow (0.3 GB to download, 1.2 GB of disk)');
  const { status, stderr } = spawnSync(process.execPath, ['scripts/setup-tensorflow.mjs', '--quiet'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'inherit', 'pipe'],
    timeout: TENSORFLOW_LIMIT_MS,
  });
  if (status === 0) return;
  const why = lastLineOf(stderr) || `it took more than ${TENSORFLOW_LIMIT_MS / 60_000} minutes`;
  say(`the tests that need TensorFlow will be skipped: ${why}`);
}

function installPackages() {
  const installed = `${root}/node_modules/.package-lock.json`;
  const lock = `${root}/package-lock.json`;
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  say('installing npm packages');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status === 0) return;
  console.error('npm ci failed: see above; the registry of npm must be reachable');
  process.exit(2);
}

function requireRedisServer(forTests) {
  if (has('redis-server') || tryInstall(['redis-server'], 'redis-server')) return;
  const alternative = forTests ? '' : ', or set REDIS_URL';
  console.error(`redis-server is needed and missing: sudo apt-get install redis-server${alternative}`);
  process.exit(2);
}

function say(what) {
  const { name } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  console.error(`${name}: ${what}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) setUp({ tests: process.argv.includes('--tests') });
