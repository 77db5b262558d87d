// `npm test`: sets the machine up, builds, checks types, lint and format, then runs every test.
// Ends with one line: N passed, N failed, N skipped.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
setUp({ tests: true });

/** @type {[name: string, command: string[]][]} */
const checks = [
  ['build', ['node', 'scripts/build.mjs']],
  ['types', ['npm', 'run', '-s', 'typecheck']],
  ['lint', ['npx', 'oxlint', '--type-aware', '--deny-warnings']],
  ['format', ['npx', 'prettier', '--check', '--log-level', 'warn', '.']],
  ['unused', ['npx', 'knip']],
];
let failedChecks = 0;
// With arguments only the named tests are wanted, at once.
const only = process.argv.slice(2);
for (const [name, [command, ...args]] of only.length > 0 ? checks.slice(0, 1) : checks) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) failedChecks += 1;
  console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${name}`);
}

const { status } = spawnSync(
  'npx',
  ['vitest', 'run', '--reporter=default', '--reporter=./test/support/count-reporter.ts', ...only],
  {
    cwd: root,
    stdio: 'inherit',
    // Tests start services of their own; one that happens to be configured must not be used, let alone filled.
    env: { ...process.env, REDIS_URL: '', NO_COLOR: '1', IMAGEMILL_FAILED_CHECKS: String(failedChecks) },
  },
);
process.exit(status === 0 && failedChecks === 0 ? 0 : 1);
