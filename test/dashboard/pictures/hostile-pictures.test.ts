import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Fate } from '../../support/hostile/hostile-file.ts';
import { hostileFiles } from '../../support/hostile/index.ts';
import { makePng } from '../../support/images.ts';
import { writeFiles } from '../../support/datasets.ts';
import { PictureWorkspace, shape } from './support.ts';

const CORPUS = new URL('../../fuzz/corpus/png/', import.meta.url);
/** Of the process, all included: it has some 120 MB without hostile files. */
const MEMORY_CAP_BYTES = 500e6;

let workspace: PictureWorkspace;
beforeAll(() => {
  workspace = new PictureWorkspace();
});
afterAll(() => workspace.remove());

function peakBytes(pid: number): number {
  const [, kib = '0'] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1_024;
}

it('hostile images become thumbnails or errors as they become labels or errors, in one process that lives', async () => {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const files = await hostileFiles(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const corpus = readdirSync(CORPUS).map((name) => [name, readFileSync(new URL(name, CORPUS))] as const);
  writeFiles(workspace.at('hostile'), Object.fromEntries(files.map(({ name, bytes }) => [name, bytes])));
  writeFiles(workspace.at('hostile'), Object.fromEntries(corpus));
  writeFiles(workspace.at('hostile'), { 'zz-good.png': await makePng({ width: 20, height: 10 }) });
  const fates = new Map<string, Fate>(files.map(({ name, fate }) => [name, fate]));
  const names = [...fates.keys(), ...corpus.map(([name]) => name), 'zz-good.png'];
  const items = names.map((name) => ({
    uri: `file://${workspace.at('hostile')}/${encodeURIComponent(name)}`,
  }));
  const out = await workspace.shardOf(items);

  const host = workspace.host({ queued: names.length });
  await host.thumbnail(out, 0, items.length - 1);
  const { pid = 0 } = host;
  const outcomes = await Promise.all(
    names.map(async (name, index) => {
      try {
        const { bytes } = await host.thumbnail(out, 0, index);
        const [format, width, height] = await shape(bytes);
        expect([format, width <= 160, height <= 160]).toEqual(['webp', true, true]);
        return [name, 'labelled'];
      } catch (error) {
        return [name, (error as { code: string }).code];
      }
    }),
  );
  expect(outcomes.filter(([name = '', fate]) => fates.has(name) && fates.get(name) !== fate)).toEqual([]);
  const ofCorpus = outcomes.filter(([name = '']) => corpus.some(([other]) => other === name));
  expect(
    ofCorpus.map(([, fate]) => fate).every((fate) => fate === 'labelled' || fate?.startsWith('IMAGE_')),
  ).toBe(true);
  expect(host.pid).toBe(pid);
  expect(peakBytes(pid)).toBeLessThan(MEMORY_CAP_BYTES);
  await sleep(100);
  expect(requests).toBe(0);
  server.close();
}, 120_000);
