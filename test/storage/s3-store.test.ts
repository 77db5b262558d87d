import type { S3 } from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { checkWritable, probeConditionalPut } from '../../src/storage/probe.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { s3Kind } from '../support/object-stores.ts';
import { createBucket, rgwClient, rgwCredentials, rgwSettings, type RgwServer } from '../support/rgw.ts';
import { expectCode, keysOf, patternOf, streamOf } from './contract-helpers.ts';
import { describeObjectStore } from './object-store-contract.ts';

const MIB = 1024 * 1024;
const kind = s3Kind();

describeObjectStore(kind, () => {
  describe('an S3 server', () => {
    let server: RgwServer;
    let admin: S3;
    let bucket: string;
    let store: ObjectStore;
    beforeAll(async () => {
      server = kind.server();
      admin = rgwClient(server);
      bucket = await createBucket(server);
      store = kind.resolver().open(`s3://${bucket}/run`);
    });
    afterAll(() => admin.destroy());

    it('keeps no part of a multipart upload that failed', async () => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* streamOf(patternOf(20 * MIB), MIB);
        throw new Error('the source broke');
      }
      await expect(store.putStream('large', broken())).rejects.toThrow('the source broke');
      const { Uploads } = await admin.listMultipartUploads({ Bucket: bucket });
      expect(Uploads ?? []).toEqual([]);
    });

    it('leaves out the marker object of its own folder, and shows those below', async () => {
      await admin.putObject({ Bucket: bucket, Key: 'marked/', Body: new Uint8Array() });
      await admin.putObject({ Bucket: bucket, Key: 'marked/sub/', Body: new Uint8Array() });
      await admin.putObject({ Bucket: bucket, Key: 'marked//twice.jpg', Body: 'x' });
      const marked = kind.resolver().open(`s3://${bucket}/marked/`);
      expect(await keysOf(marked)).toEqual(['/twice.jpg', 'sub/']);
      expect(await marked.get('/twice.jpg')).toHaveLength(1);
    });

    it('honours conditional puts, as the probe finds out without leaving a trace', async () => {
      const fresh = kind.resolver().open(await kind.freshUri());
      expect(await probeConditionalPut(fresh)).toBe(true);
      await checkWritable(fresh);
      expect(await keysOf(fresh)).toEqual([]);
    });

    it('says that a bucket does not exist', async () => {
      const missing = kind.resolver().open(`s3://no-such-${randomUUID()}/x`);
      const error = await expectCode(missing.get('k'), 'STORE_NOT_FOUND');
      expect(error.message).toContain(server.endpoint);
      expect(error.message).toContain('no-such-');
      await expectCode(missing.put('k', new Uint8Array(1)), 'STORE_NOT_FOUND');
      await expectCode(missing.putIfAbsent('k', new Uint8Array(1)), 'STORE_NOT_FOUND');
      await expectCode(missing.putStream('k', streamOf(new Uint8Array(1), 1)), 'STORE_NOT_FOUND');
      await expectCode(missing.delete('k'), 'STORE_NOT_FOUND');
      await expectCode(keysOf(missing), 'STORE_NOT_FOUND');
      await expectCode(checkWritable(missing), 'OUTPUT_NOT_WRITABLE');
    });

    it.each([
      ['secret', { secretAccessKey: 'not-the-secret-0123456789' }],
      ['access key', { accessKeyId: 'NOTTHEACCESSKEY0' }],
    ])('refuses a wrong %s, which no error repeats', async (_, wrong) => {
      const credentials = { ...rgwCredentials(server), ...wrong };
      const resolver = createStoreResolver({
        s3: rgwSettings(server.endpoint),
        s3Credentials: credentials,
      });
      const denied = resolver.open(`s3://${bucket}/`);
      const errors = [
        await expectCode(denied.get('k'), 'STORE_ACCESS_DENIED'),
        await expectCode(denied.head('k'), 'STORE_ACCESS_DENIED'),
        await expectCode(denied.put('k', new Uint8Array(1)), 'STORE_ACCESS_DENIED'),
        await expectCode(denied.putStream('k', streamOf(new Uint8Array(1), 1)), 'STORE_ACCESS_DENIED'),
        await expectCode(
          denied.putStream('k', streamOf(new Uint8Array(9 * MIB), MIB)),
          'STORE_ACCESS_DENIED',
        ),
        await expectCode(keysOf(denied), 'STORE_ACCESS_DENIED'),
        await expectCode(checkWritable(denied), 'OUTPUT_NOT_WRITABLE'),
      ];
      for (const error of errors) {
        const everything = inspect(error, { depth: 10, showHidden: true });
        expect(everything).not.toContain(credentials.secretAccessKey);
        expect(everything).not.toContain(credentials.accessKeyId);
        expect(error.message).toContain(bucket);
      }
      resolver.close();
    });

    it('goes on after close, on new connections', async () => {
      const resolver = createStoreResolver({
        s3: rgwSettings(server.endpoint),
        s3Credentials: rgwCredentials(server),
      });
      const open = resolver.open(`s3://${bucket}/closing`);
      await open.put('k', new Uint8Array(1));
      resolver.close();
      expect(await open.get('k')).toHaveLength(1);
      resolver.close();
    });

    it('stores and reads with the SDK’s default checksums too', async () => {
      const resolver = createStoreResolver({
        s3: { ...rgwSettings(server.endpoint), checksums: 'when-supported' },
        s3Credentials: rgwCredentials(server),
      });
      const open = resolver.open(`s3://${bucket}/checksums`);
      const body = patternOf(17 * MIB);
      await open.put('single', body);
      expect(Buffer.compare(await open.get('single'), body)).toBe(0);
      await open.putStream('multipart', streamOf(body, MIB));
      expect(Buffer.compare(await open.get('multipart'), body)).toBe(0);
      resolver.close();
    });
  });
});
