// Builds dist/ from nothing, so that no file of an earlier build survives. The new folder takes the old one's place
// at the end: a command that runs meanwhile finds the one or the other. `--no-check` leaves out the types, which is most
// of the time: for those who check them apart, or only want to run it.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const fresh = `${root}dist.new-${process.pid}`;
const old = `${root}dist.old-${process.pid}`;
const more = process.argv.includes('--no-check') ? ['--noCheck'] : [];
try {
  for (const project of ['tsconfig.build.json', 'tsconfig.browser.json']) {
    const args = ['node_modules/typescript/bin/tsc', '-p', project, '--outDir', fresh, ...more];
    execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  }
  copyAssets(`${fresh}/dashboard/browser`);
  chmodSync(`${fresh}/cli.js`, 0o755);
  if (existsSync(`${root}dist`)) renameSync(`${root}dist`, old);
  renameSync(fresh, `${root}dist`);
} finally {
  for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true });
}

/** What pages load beside the scripts: nothing comes from another server. */
function copyAssets(folder) {
  mkdirSync(`${folder}/vendor`, { recursive: true });
  for (const name of ['style.css', 'run.css', 'icon.svg'])
    copyFileSync(`${root}src/dashboard/browser/${name}`, `${folder}/${name}`);
  copyFileSync(`${root}node_modules/uplot/dist/uPlot.esm.js`, `${folder}/vendor/uplot.js`);
  copyFileSync(`${root}node_modules/uplot/dist/uPlot.min.css`, `${folder}/vendor/uplot.css`);
}
