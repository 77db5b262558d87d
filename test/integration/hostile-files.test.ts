import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resultRowSchema, type ErrorRow, type ResultRow } from '../../src/contract/rows.ts';
import { runCli, startCli, type CliResult } from '../support/cli.ts';
import { watchCompute } from '../support/compute-memory.ts';
import { readMembers, writeFiles } from '../support/datasets.ts';
import type { Fate } from '../support/hostile/hostile-file.ts';
import { hostileFiles } from '../support/hostile/index.ts';
import { makeJpeg, makePng } from '../support/images.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const GOOD = 60;
/** Of the compute process, all included: it has 190 MB without hostile files, and 330 MB with them. */
const MEMORY_CAP_BYTES = 500e6;
const DEADLINE_MS = 60_000;

let workspace: Workspace;
let server: Server;
let requests = 0;
let fates: Map<string, Fate>;
const at = (...names: string[]) => join(workspace.folder, ...names);

beforeAll(async () => {
  workspace = await createWorkspace(0);
  server = createServer((_, response) => {
    requests += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const files = await hostileFiles(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const good = await goodFiles();
  fates = new Map([
    ...files.map(({ name, fate }): [string, Fate] => [`bad/${name}`, fate]),
    ...Object.keys(good).map((name): [string, Fate] => [name, 'labelled']),
  ]);
  writeFiles(at('calm'), good);
  writeFiles(at('hostile'), good);
  writeFiles(at('hostile'), Object.fromEntries(files.map(({ name, bytes }) => [`bad/${name}`, bytes])));
}, 60_000);

afterAll(() => {
  server.close();
  workspace.remove();
});

/** Below names that lie before, among and behind those of the hostile ones. */
async function goodFiles(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  const places = ['a', 'bad/b', 'bad/jq', 'bad/pz', 'bad/u', 'z'];
  for (let seed = 1; seed <= GOOD; seed++) {
    const size = { width: 60 + seed, height: 50, seed };
    const place = places[seed % places.length] ?? 'a';
    if (seed % 2 === 0) files[`${place}/good-${seed}.jpg`] = await makeJpeg(size);
    else files[`${place}/good-${seed}.png`] = await makePng(size);
  }
  return files;
}

interface WatchedResult extends CliResult {
  readonly peakBytes: number;
}

async function watched(args: string[]): Promise<WatchedResult> {
  const cli = startCli(args, { ...workspace.env, IMAGEMILL_BATCH_SIZE: '16' });
  const memory = watchCompute(cli.child.pid ?? 0);
  const result = await cli.result;
  return { ...result, peakBytes: memory.peakBytes() };
}

function linesOf<T>(text: string): T[] {
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as T);
}

/** By the name below the collection, with what is not the same in every folder left out. */
function byName<T extends { uri: string }>(
  rows: readonly T[],
  collection: string,
): Map<string, Omit<T, 'uri'>> {
  const folder = `file://${at(collection)}/`;
  const named = rows.map(({ uri, ...rest }): [string, Omit<T, 'uri'>] => {
    expect(uri.startsWith(folder), uri).toBe(true);
    return [decodeURI(uri.slice(folder.length)), rest];
  });
  expect(new Set(named.map(([name]) => name)).size).toBe(named.length);
  return new Map(named);
}

async function errorsOf(out: string): Promise<ErrorRow[]> {
  return linesOf<ErrorRow>((await runCli(['results', at(out), '--errors'], workspace.env)).stdout);
}

/** Exactly one fate for every file of the hostile collection, and the one it should have. */
function expectFates(labelled: Iterable<string>, errors: readonly ErrorRow[]): void {
  const codes = byName(errors, 'hostile');
  const found = [
    ...[...labelled].map((name): [string, string] => [name, 'labelled']),
    ...[...codes].map(([name, { code }]): [string, string] => [name, code]),
  ];
  expect(found).toHaveLength(fates.size);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(fates));
}

describe('a collection of hostile files among good ones', { timeout: 2 * DEADLINE_MS }, () => {
  it('is labelled: every item once, errors with their codes, good rows as without the hostile ones', async () => {
    const classify = (collection: string) =>
      ['classify', at(collection), '--model', workspace.model, '--out', at(`${collection}-labels`)].concat([
        '--shard-size',
        '25',
        '--format',
        'jsonl',
        '--device',
        'cpu',
        '--json',
      ]);
    const calm = await watched(classify('calm'));
    expect([calm.code, calm.stderr]).toEqual([0, '']);
    const startedAtMs = Date.now();
    const hostile = await watched(classify('hostile'));
    expect([hostile.code, hostile.stderr]).toEqual([3, '']);
    expect(Date.now() - startedAtMs).toBeLessThan(DEADLINE_MS);
    expect(calm.peakBytes).toBeGreaterThan(0);
    expect(hostile.peakBytes).toBeLessThan(MEMORY_CAP_BYTES);

    const rows = await rowsOf('hostile');
    expectFates(rows.keys(), await errorsOf('hostile-labels'));
    const calmRows = await rowsOf('calm');
    expect(calmRows.size).toBe(GOOD);
    for (const [name, row] of calmRows) expect(rows.get(name), name).toEqual(row);
  });

  it('is prepared: every item once, errors with their codes, good images as without the hostile ones', async () => {
    const prepare = (collection: string) =>
      ['prepare', at(collection), '--out', at(`${collection}-dataset`), '--short-side', '48'].concat([
        '--shard-size',
        '25',
        '--format',
        'png',
        '--device',
        'cpu',
        '--json',
      ]);
    const calm = await watched(prepare('calm'));
    expect([calm.code, calm.stderr]).toEqual([0, '']);
    const startedAtMs = Date.now();
    const hostile = await watched(prepare('hostile'));
    expect([hostile.code, hostile.stderr]).toEqual([3, '']);
    expect(Date.now() - startedAtMs).toBeLessThan(DEADLINE_MS);
    expect(hostile.peakBytes).toBeLessThan(MEMORY_CAP_BYTES);

    const members = imagesOf('hostile');
    expectFates(members.keys(), await errorsOf('hostile-dataset'));
    const calmMembers = imagesOf('calm');
    expect(calmMembers.size).toBe(GOOD);
    for (const [name, member] of calmMembers) expect(members.get(name), name).toEqual(member);
  });

  it('never made a worker ask a server', () => {
    expect(requests).toBe(0);
  });
});

async function rowsOf(collection: string): Promise<Map<string, Omit<ResultRow, 'uri'>>> {
  const { code, stdout } = await runCli(
    ['results', at(`${collection}-labels`), '--format', 'jsonl'],
    workspace.env,
  );
  expect(code).toBe(0);
  return byName(
    linesOf<unknown>(stdout).map((row) => resultRowSchema.parse(row)),
    collection,
  );
}

/** Where an image lies in which tar depends on its neighbours; what it is, and its split, does not. */
function imagesOf(collection: string): Map<string, object> {
  return byName(
    readMembers(at(`${collection}-dataset`)).map(
      ({ uri, split, className, digest, width, height, bytes }) => {
        return { uri, split, className, digest, width, height, bytes: bytes.toString('base64') };
      },
    ),
    collection,
  );
}
