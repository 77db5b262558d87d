// `npm run test:chaos -- --seed N` replays one run of the chaos suite, `-- --runs N` does the first N, and adds up what
// became of them. Ends with the number of runs, items lost, items doubled, and the seeds of those that failed.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    runs: { type: 'string', default: '20' },
    first: { type: 'string', default: '0' },
    'longest-pause-ms': { type: 'string', default: '4000' },
  },
});
setUp({ tests: true });

const first = Number(values.seed ?? values.first);
const last = values.seed === undefined ? first + Number(values.runs) - 1 : first;
const report = join(tmpdir(), `imagemill-chaos-${process.pid}.jsonl`);
const { status } = spawnSync('npx', ['vitest', 'run', 'test/chaos/chaos.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    REDIS_URL: '',
    IMAGEMILL_CHAOS_SEEDS: `${first}-${last}`,
    IMAGEMILL_CHAOS_PAUSE_MS: values['longest-pause-ms'],
    IMAGEMILL_CHAOS_REPORT: report,
  },
});
summarise();
process.exit(status ?? 1);

function summarise() {
  const runs = existsSync(report)
    ? readFileSync(report, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    : [];
  rmSync(report, { force: true });
  const sum = (count) => runs.reduce((total, run) => total + count(run), 0);
  const table = new Map();
  for (const { faults } of runs) for (const { kind } of faults) table.set(kind, (table.get(kind) ?? 0) + 1);
  const failed = runs.filter(
    ({ state, lost, doubled, different, leaked, orphans }) =>
      state !== 'done' || lost + doubled + different.length + leaked.length + orphans.length > 0,
  );
  console.log(`\nfaults: ${[...table].map(([kind, count]) => `${count} × ${kind}`).join(', ')}`);
  console.log(
    [
      `${runs.length} of ${last - first + 1} runs (seeds ${first} to ${last}) in ${Math.round(sum(({ seconds }) => seconds))} s`,
      `${sum(({ lost }) => lost)} lost`,
      `${sum(({ doubled }) => doubled)} doubled`,
      `${sum(({ different }) => different.length)} different from a calm run`,
      `${sum(({ leaked }) => leaked.length)} leaked objects`,
      `${sum(({ orphans }) => orphans.length)} orphaned processes`,
      `${sum(({ resumes }) => resumes)} resumed by hand`,
      `${sum(({ faultyRequests }) => faultyRequests)} requests to the store met a fault`,
      `failed seeds: ${failed.map(({ seed }) => seed).join(', ') || 'none'}`,
    ].join('; '),
  );
}
