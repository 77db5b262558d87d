import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeRun } from '../../support/fake-run.ts';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import { makePng } from '../../support/images.ts';
import { s3Kind, titleOf } from '../../support/object-stores.ts';
import { errorOf } from '../../pipeline/source/support.ts';
import { packTar } from '../../pipeline/source/tar-fixture.ts';
import { PictureWorkspace, shape } from './support.ts';

const s3 = s3Kind();
let workspace: PictureWorkspace;
beforeAll(async () => {
  workspace = new PictureWorkspace();
  if (s3.missing === null) await s3.start();
}, 120_000);
afterAll(async () => {
  await workspace.remove();
  if (s3.missing === null) await s3.stop();
});

describe.skipIf(s3.missing !== null)(titleOf(s3), { timeout: 60_000 }, () => {
  it('shows images of buckets and of tars in them, with the credentials of the environment', async () => {
    const root = await s3.freshUri();
    const store = s3.resolver().open(root);
    await store.put('photos/ü +%.png', await makePng({ width: 30, height: 20 }));
    await store.put(
      'tars/000000.tar',
      packTar({ 'a.png': await makePng({ width: 31, height: 21 }) }, 'ustar'),
    );
    const { endpoint, accessKey, secretKey } = s3.server();
    const host = workspace.host(
      {},
      { IMAGEMILL_S3_ENDPOINT: endpoint, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey },
    );
    for (const [source, expected] of [
      ['photos/', ['webp', 30, 20]],
      ['tars/000000.tar', ['webp', 31, 21]],
    ] as const) {
      const spec = { uri: `${root}${source}`, include: [], exclude: [] };
      const listing = await openSource(spec, s3.resolver());
      const out = await workspace.planAs(
        fakeRun({ source: spec }),
        listing,
        s3.resolver(),
        `${root}labels-of-${source.replaceAll(/\W/g, '')}/`,
      );
      expect(await shape((await host.thumbnail(out, 0, 0)).bytes)).toEqual(expected);
    }
    const stranger = workspace.host(
      {},
      { IMAGEMILL_S3_ENDPOINT: endpoint, AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'x' },
    );
    expect((await errorOf(stranger.thumbnail(`${root}labels-of-photos/`, 0, 0))).code).toBe(
      'STORE_ACCESS_DENIED',
    );
  });
});
