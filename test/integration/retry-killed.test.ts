import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  classifyArgs,
  listedPhotos,
  makePhotos,
  namesIn,
  photoName,
  photoNames,
  repairPhotos,
  retryArgs,
} from '../support/broken-photos.ts';
import { runCli, startCli, type CliProcess } from '../support/cli.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
const started: CliProcess[] = [];

beforeAll(async () => {
  workspace = await createWorkspace(1);
}, 60_000);

afterAll(() => {
  for (const { child } of started) child.kill('SIGKILL');
  workspace.remove();
});

it('goes on with the same generation after SIGKILL, twice, and readers never see a part of it', async () => {
  const [count, whole] = [4_000, 40];
  const photos = await makePhotos(workspace, 'photos', count, whole);
  const out = join(workspace.folder, 'labels');
  expect((await runCli(classifyArgs(workspace, photos, out, 50), workspace.env)).code).toBe(3);
  const broken = Array.from({ length: count - whole }, (_, index) => whole + index);
  await repairPhotos(photos, ...broken.slice(0, -1));
  const folder = join(out, 'generations', '0001');
  const document = `${folder}.json`;
  const before = { labelled: photoNames(0, whole), errors: photoNames(whole, count) };
  const after = { labelled: photoNames(0, count - 1), errors: [photoName(count - 1)] };
  const poll = pollUntilStopped(out, { before, after });
  for (const commits of [5, 25]) {
    const killed = startCli(retryArgs(out), workspace.env);
    started.push(killed);
    while (namesIn(join(folder, 'commits')).length < commits && killed.child.exitCode === null) {
      await sleep(2);
    }
    killed.child.kill('SIGKILL');
    expect((await killed.result).signal).toBe('SIGKILL');
    // Otherwise nothing was interrupted.
    expect(existsSync(document)).toBe(false);
    expect(namesIn(join(folder, 'commits')).length).toBeLessThan((count - whole) / 50);
    expect(await listedPhotos(workspace, out)).toEqual(before.labelled);
  }
  const kept = namesIn(join(folder, 'commits')).map((name) => read(join(folder, 'commits', name)));
  const { code, stdout } = await runCli(retryArgs(out), workspace.env);
  expect(code).toBe(3);
  expect(JSON.parse(stdout)).toMatchObject({ labelled: count - 1, errors: 1, generation: 1, generations: 1 });
  const polls = await poll.stop();
  expect(polls).toBeGreaterThan(5);
  expect((await listedPhotos(workspace, out)).toSorted()).toEqual(after.labelled);
  expect(await listedPhotos(workspace, out, '--errors')).toEqual(after.errors);
  expect(namesIn(join(out, 'generations'))).toEqual(['0001', '0001.json']);
  // What was committed before it was killed was not repeated.
  const commits = namesIn(join(folder, 'commits')).map((name) => read(join(folder, 'commits', name)));
  for (const commit of kept) expect(commits).toContain(commit);
}, 180_000);

interface Listing {
  readonly labelled: readonly string[];
  readonly errors: readonly string[];
}

/** Lists a run again and again: every listing must be what it was before the retry, or what it is after. */
function pollUntilStopped(out: string, { before, after }: { before: Listing; after: Listing }) {
  const stop = new AbortController();
  const polling = poll();
  // A failed expectation is told by `stop`, not by an unhandled rejection before it.
  polling.catch(() => {});
  return {
    stop: () => {
      stop.abort();
      return polling;
    },
  };

  async function poll(): Promise<number> {
    let polls = 0;
    while (!stop.signal.aborted) {
      const labelled = await listedPhotos(workspace, out);
      const errors = await listedPhotos(workspace, out, '--errors');
      expect([before.labelled, after.labelled]).toContainEqual(labelled.toSorted());
      expect([before.errors, after.errors]).toContainEqual(errors);
      polls += 1;
      await sleep(20);
    }
    return polls;
  }
}

function read(file: string): string {
  return readFileSync(file, 'utf8');
}
