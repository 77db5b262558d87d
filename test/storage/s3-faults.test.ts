import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { probeConditionalPut } from '../../src/storage/probe.ts';
import { expectCode, MIB, patternOf, streamOf } from './contract-helpers.ts';
import { CREDENTIALS, fail, storeOn, type Handler } from './fake-s3.ts';

describe('answers of an S3 server', () => {
  const answers: [number, string, ErrorCode][] = [
    [403, 'AccessDenied', 'STORE_ACCESS_DENIED'],
    [403, 'SignatureDoesNotMatch', 'STORE_ACCESS_DENIED'],
    [403, 'InvalidAccessKeyId', 'STORE_ACCESS_DENIED'],
    [400, 'ExpiredToken', 'STORE_ACCESS_DENIED'],
    [401, 'Unauthorized', 'STORE_ACCESS_DENIED'],
    [404, 'NoSuchBucket', 'STORE_NOT_FOUND'],
    [404, 'NoSuchKey', 'OBJECT_NOT_FOUND'],
    [500, 'InternalError', 'STORE_UNAVAILABLE'],
    [503, 'SlowDown', 'STORE_UNAVAILABLE'],
    [503, 'ServiceUnavailable', 'STORE_UNAVAILABLE'],
    [429, 'TooManyRequests', 'STORE_UNAVAILABLE'],
    [400, 'RequestTimeout', 'STORE_UNAVAILABLE'],
    [403, 'QuotaExceeded', 'STORE_FULL'],
    [507, 'XMinioStorageFull', 'STORE_FULL'],
    [507, 'Whatever', 'STORE_FULL'],
    [418, 'Teapot', 'STORE_UNAVAILABLE'],
  ];
  it.each(answers)('%i %s is %s', async (status, name, code) => {
    const message = `about ${CREDENTIALS.accessKeyId}`;
    const store = await storeOn((_, response) => fail(response, status, name, message), { attempts: 1 });
    const error = await expectCode(store.get('k'), code);
    expect(error.message).toContain(name);
    expect(error.message).toContain(`HTTP ${status}`);
    await expectCode(store.putStream('k', streamOf(new Uint8Array(9 * MIB), MIB)), code);
    if (code === 'STORE_ACCESS_DENIED' && name !== 'AccessDenied' && name !== 'Unauthorized') {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(CREDENTIALS.accessKeyId);
    }
  });

  it('are asked for again while the server is unwell', async () => {
    const store = await storeOn((_, response, count) => {
      if (count < 3) fail(response, 503, 'SlowDown');
      else response.end('at last');
    });
    expect(new TextDecoder().decode(await store.get('k'))).toBe('at last');
  });
});

describe('a body that breaks off', () => {
  const body = patternOf(300_000);

  /** Cuts the connection after some bytes of each reply, `cuts` times. */
  function cutting(cuts: number, ranges: (string | undefined)[], etags: string[] = ['"one"']): Handler {
    return (request, response, count) => {
      const { range } = request.headers;
      ranges.push(range);
      const etag = etags[Math.min(count, etags.length) - 1] ?? '';
      const condition = request.headers['if-match'];
      if (condition !== undefined && condition !== etag) return fail(response, 412, 'PreconditionFailed');
      const [first = 0, last = body.length - 1] =
        /(\d+)-(\d+)/
          .exec(range ?? '')
          ?.slice(1)
          .map(Number) ?? [];
      const part = body.subarray(first, last + 1);
      response.writeHead(range === undefined ? 200 : 206, { 'content-length': part.length, etag });
      if (count > cuts) return void response.end(part);
      response.write(part.subarray(0, 90_000));
      setTimeout(() => response.destroy(), 20);
    };
  }

  it('is continued where it ended', async () => {
    const ranges: (string | undefined)[] = [];
    // Fewer tries than cuts: progress starts the count anew.
    const store = await storeOn(cutting(2, ranges), { attempts: 2 });
    expect(Buffer.compare(await store.get('k'), body)).toBe(0);
    expect(ranges).toEqual([undefined, 'bytes=90000-299999', 'bytes=180000-299999']);
    ranges.length = 0;
    const part = await (
      await storeOn(cutting(1, ranges))
    ).get('k', { range: { offset: 1000, length: 200_000 } });
    expect(Buffer.compare(part, body.slice(1000, 201_000))).toBe(0);
    expect(ranges).toEqual(['bytes=1000-200999', 'bytes=91000-200999']);
  });

  it('is not continued with another object’s bytes', async () => {
    const store = await storeOn(cutting(1, [], ['"one"', '"two"']));
    const error = await expectCode(store.get('k'), 'STORE_UNAVAILABLE');
    expect(error.message).toContain('PreconditionFailed');
  });

  it('is given up after as many tries as are set, without progress', async () => {
    let requests = 0;
    const store = await storeOn(
      (_, response, count) => {
        requests = count;
        response.writeHead(200, { 'content-length': 1000, etag: '"one"' });
        response.flushHeaders();
        setTimeout(() => response.destroy(), 10);
      },
      { attempts: 3 },
    );
    await expectCode(store.get('k'), 'STORE_UNREACHABLE');
    expect(requests).toBe(3);
  });
});

describe('listing an S3 bucket', () => {
  const page = (keys: readonly string[], next: string | null): string =>
    `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType>
    <IsTruncated>${next !== null}</IsTruncated>${next === null ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`}
    ${keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size><ETag>"x"</ETag></Contents>`).join('')}</ListBucketResult>`;

  it('skips empty pages and goes on to the last', async () => {
    const asked: string[] = [];
    const pages = [page(['a+b%2Bc'], 't1'), page([], 't2'), page([], 't3'), page(['z'], null)];
    const store = await storeOn((request, response, count) => {
      asked.push(request.url ?? '');
      response.end(pages[count - 1]);
    });
    const seen: string[][] = [];
    for await (const objects of store.list('')) seen.push(objects.map(({ key }) => key));
    expect(seen).toEqual([['a b+c'], ['z']]);
    expect(asked[1]).toContain('start-after=a%20b%2Bc');
    expect(asked[2]).toContain('continuation-token=t2');
    expect(asked[3]).toContain('continuation-token=t3');
  });
});

describe('conditional puts', () => {
  it('are tried again after a conflict with another writer', async () => {
    const store = await storeOn((_, response, count) => {
      if (count <= 2) fail(response, 409, 'ConditionalRequestConflict');
      else if (count === 3) response.end();
      else fail(response, 412, 'PreconditionFailed');
    });
    expect(await store.putIfAbsent('k', new Uint8Array(1))).toBe(true);
    expect(await store.putIfAbsent('k', new Uint8Array(1))).toBe(false);
  });

  it('carry the condition', async () => {
    const conditions: (string | undefined)[] = [];
    const store = await storeOn((request, response) => {
      conditions.push(request.headers['if-none-match']);
      response.end();
    });
    await store.putIfAbsent('k', new Uint8Array(1));
    await store.put('k', new Uint8Array(1));
    expect(conditions).toEqual(['*', undefined]);
  });

  it('are found out to be ignored, unsupported, or granted twice', async () => {
    const ignoring = await storeOn((_, response) => response.end('whatever was put last'));
    expect(await probeConditionalPut(ignoring)).toBe(false);
    const refusing = await storeOn((request, response) =>
      request.method === 'PUT' ? fail(response, 501, 'NotImplemented') : response.end(),
    );
    expect(await probeConditionalPut(refusing)).toBe(false);
    await expectCode(refusing.putIfAbsent('k', new Uint8Array(1)), 'STORE_CONDITIONAL_PUT_UNSUPPORTED');
  });
});

describe('a multipart upload', () => {
  it('stops its source and its other parts at the first failure, and is aborted', async () => {
    const aborted: string[] = [];
    const store = await storeOn(
      (request, response) => {
        const url = request.url ?? '';
        if (request.method === 'POST') {
          response.end(
            '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>',
          );
        } else if (request.method === 'DELETE') {
          aborted.push(url);
          response.writeHead(204).end();
        } else if (url.includes('partNumber=2')) {
          fail(response, 403, 'QuotaExceeded');
        } else {
          response.writeHead(200, { etag: '"p"' }).end();
        }
      },
      { attempts: 1 },
    );
    let produced = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        produced += MIB;
        yield new Uint8Array(MIB);
      }
    }
    await expectCode(store.putStream('k', endless()), 'STORE_FULL');
    expect(produced).toBeLessThan(200 * MIB);
    expect(aborted).toHaveLength(1);
    expect(aborted[0]).toContain('uploadId=u1');
  });
});
