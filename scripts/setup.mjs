// Makes a fresh machine ready, with nothing but Node's own modules: npm packages, redis-server, and for the tests a
// real S3 server, Prometheus's tool and a Docker engine. Every step is skipped where its result is there already.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { has, succeeds, tryInstall } from './distribution-packages.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @param {{ tests?: boolean }} [needs] */
export function setUp(needs = {}) {
  installPackages();
  if (!process.env.REDIS_URL || needs.tests) requireRedisServer(needs.tests === true);
  if (needs.tests) tryInstall(['radosgw', 'ceph-mon', 'ceph-osd'], 'radosgw');
  if (needs.tests) tryInstall(['prometheus'], 'promtool');
  if (needs.tests) tryInstall(['chromium', 'fonts-dejavu-core'], 'chromium');
  if (needs.tests) tryDocker();
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
