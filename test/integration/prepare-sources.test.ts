import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { readDataset, readMembers, writeFiles } from '../support/datasets.ts';
import { titleNeeding } from '../support/needs.ts';
import { writePhotos } from '../support/photos.ts';
import { createBucket, rgwCredentials, rgwMissing, rgwSettings, startRgw } from '../support/rgw.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

let workspace: Workspace;
let photos: string;
const at = (...names: string[]) => join(workspace.folder, ...names);

/** What a folder for each class gives, to compare with. */
const folderArgs = ['--format', 'png', '--val-fraction', '0.4', '--shard-size', '18', '--json'];

beforeAll(async () => {
  workspace = await createWorkspace(1);
  photos = at('photos');
  await writePhotos(photos);
  expect((await prepare(photos, 'folders', ...folderArgs)).code).toBe(3);
}, 60_000);

afterAll(() => workspace.remove());

function prepare(source: string, out: string, ...more: string[]): Promise<CliResult> {
  return runCli(
    ['prepare', source, '--out', at(out), '--short-side', '48', '--device', 'cpu', ...more],
    workspace.env,
  );
}

describe('imagemill prepare, embedded, from other sources', { timeout: 120_000 }, () => {
  it('reads a manifest with labels, writes JPEG, and tells a person what came of it', async () => {
    const rows = [
      ...['000.jpg', '001.png', '003.jpg'].map((name) => `photos/cat/${name},tabby`),
      ...['000.jpg', '001.png', '002.png'].map((name) => `${join(photos, 'dog', name)},poodle`),
      'photos/dog/003.jpg,',
      'photos/gone.png,poodle',
    ];
    writeFiles(at('.'), { 'list.csv': `uri,label\n${rows.join('\n')}\n` });
    const { code, stdout, stderr } = await prepare(at('list.csv'), 'from-csv', '--val-fraction', '0');
    expect([code, stderr]).toEqual([3, '']);
    expect(stdout).toMatch(/^r-\w{26} done: 6 images prepared, 2 errors, 1 shards, /);
    expect(stdout).toContain('errors:     1 LABEL_MISSING, 1 ITEM_NOT_FOUND; ');
    expect(stdout).toContain('images:     6 for training, 0 for validation\n');
    expect(stdout).toContain('duplicates: none\n');
    expect(readDataset(at('from-csv'))).toMatchObject({ classes: ['poodle', 'tabby'], encoding: 'jpeg' });
    const members = readMembers(at('from-csv'));
    expect(members.map(({ className }) => className).sort()).toEqual([
      'poodle',
      'poodle',
      'poodle',
      'tabby',
      'tabby',
      'tabby',
    ]);
    for (const { bytes } of members) expect((await sharp(bytes).metadata()).format).toBe('jpeg');
    expect(readdirSync(at('from-csv'))).not.toContain('duplicates.jsonl');
  });

  it('reads WebDataset tars with their labels', async () => {
    mkdirSync(at('tars'));
    for (const [shard, name] of ['cat', 'dog'].entries()) {
      const folder = at('members', String(shard));
      for (const index of [1, 2, 4, 5]) {
        const key = String(index).padStart(3, '0');
        writeFiles(folder, {
          [`${key}.png`]: readFileSync(join(photos, name, `${key}.png`)),
          [`${key}.cls`]: `${name}\n`,
        });
      }
      execFileSync('tar', [
        '-cf',
        at('tars', `00000${shard}.tar`),
        '-C',
        folder,
        ...readdirSync(folder).sort(),
      ]);
    }
    const { code, stdout, stderr } = await prepare(
      at('tars'),
      'from-tars',
      ...folderArgs,
      '--shard-size',
      '100',
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({ items: 8, prepared: 8, errors: 0, classes: 2 });
    const folders = new Map(readMembers(at('folders')).map((member) => [member.digest, member]));
    for (const { digest, className, split, bytes } of readMembers(at('from-tars'))) {
      const same = folders.get(digest);
      // The same content elsewhere: the same split, and the same bytes.
      expect([split, Buffer.compare(bytes, same?.bytes ?? Buffer.alloc(0))]).toEqual([same?.split, 0]);
      expect(['cat', 'dog']).toContain(className);
    }
  });
});

const MISSING = rgwMissing();

describe('imagemill prepare, embedded, from S3', { timeout: 120_000 }, () => {
  it.skipIf(MISSING !== null)(
    titleNeeding(
      MISSING ?? '',
      MISSING === null,
      'prepares a bucket into a bucket, the same dataset as on disk',
    ),
    async () => {
      const server = await startRgw();
      try {
        const bucket = await createBucket(server);
        const settings = { s3: rgwSettings(server.endpoint), s3Credentials: rgwCredentials(server) };
        const resolver = createStoreResolver(settings);
        const store = resolver.open(`s3://${bucket}`);
        for (const entry of readdirSync(photos, { recursive: true, withFileTypes: true })) {
          if (!entry.isFile()) continue;
          const path = join(entry.parentPath, entry.name);
          await store.put(`photos/${path.slice(photos.length + 1)}`, readFileSync(path));
        }
        const args = ['prepare', `s3://${bucket}/photos/`, '--out', `s3://${bucket}/dataset`];
        const { code, stdout, stderr } = await runCli([...args, '--short-side', '48', ...folderArgs], {
          IMAGEMILL_HOME: `s3://${bucket}/home`,
          IMAGEMILL_S3_ENDPOINT: server.endpoint,
          AWS_ACCESS_KEY_ID: server.accessKey,
          AWS_SECRET_ACCESS_KEY: server.secretKey,
        });
        expect([code, stderr]).toEqual([3, '']);
        const { digest, classes, splits } = readDataset(at('folders'));
        expect(JSON.parse(stdout)).toMatchObject({
          out: `s3://${bucket}/dataset/`,
          digest,
          classes: classes.length,
        });
        for (const { tar } of splits.train.shards) {
          const onDisk = readFileSync(at('folders', tar));
          expect(Buffer.compare(await store.get(`dataset/${tar}`), onDisk)).toBe(0);
        }
        resolver.close();
      } finally {
        await server.stop();
      }
    },
  );
});
