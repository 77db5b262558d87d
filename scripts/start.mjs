// `npm run demo`, `npm run dev`: set the machine up, build, and run that command of what was built.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
setUp();
for (const args of [
  ['scripts/build.mjs', '--no-check'],
  ['dist/cli.js', ...process.argv.slice(2)],
]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
