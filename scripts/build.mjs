// Builds dist/ from nothing, so that no file of an earlier build survives. The new folder takes the old one's place
// at the end: a command that runs meanwhile finds the one or the other.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const fresh = `${root}dist.new-${process.pid}`;
const old = `${root}dist.old-${process.pid}`;
try {
  execFileSync(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', fresh],
    { cwd: root, stdio: 'inherit' },
  );
  chmodSync(`${fresh}/cli.js`, 0o755);
  if (existsSync(`${root}dist`)) renameSync(`${root}dist`, old);
  renameSync(fresh, `${root}dist`);
} finally {
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true });
}
