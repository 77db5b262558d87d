// Packages of the distribution, where they can be installed without asking anyone.
import { spawnSync } from 'node:child_process';

/** Installs packages where that is possible without asking anyone. @returns whether `command` is there */
export function tryInstall(packages, command) {
  if (has(command)) return true;
  if (process.getuid?.() !== 0 || !has('apt-get')) return false;
  console.error(`imagemill: installing ${packages.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // The package lists of a fresh image are empty; those of an old one may name versions that are gone.
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
    // Services must not start by themselves: whoever needs one starts it where and when it is needed.
    env: { ...env, RUNLEVEL: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return has(command);
}

export function has(command) {
  return succeeds('sh', ['-c', `command -v ${command}`]);
}

export function succeeds(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
