import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImagemillError } from '../contract/errors.ts';
import { orAbort } from './abort.ts';
import { checkRange } from './byte-range.ts';
import type { ByteRange, GetOptions } from './object-store.ts';
import type { S3Connection } from './s3-connection.ts';
import { faultNameOf, isBrokenConnection, s3StoreError, statusOf, type S3Place } from './s3-errors.ts';

const RESUME_DELAY_MS = 100;

/** An object being read: its reply has begun. */
export interface S3Body {
  /** Of the part asked for; undefined where the server does not say. */
  readonly bytes: number | undefined;
  /** Must be read to its end or given up, or its connection stays taken until the idle timeout. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

interface S3Reply {
  readonly stream: Readable;
  readonly bytes: number | undefined;
  readonly etag: string | undefined;
  readonly release: () => void;
}

type ReadPlace = S3Place & { readonly key: string };

const EMPTY: S3Body = { bytes: 0, chunks: noChunks() };

/**
 * Begins to read an object or a range of it. A connection that breaks on the way is replaced, and the rest asked for.
 * @throws ImagemillError OBJECT_NOT_FOUND and as every method of a store
 */
export async function openS3Body(
  connection: S3Connection,
  place: ReadPlace,
  options: GetOptions,
): Promise<S3Body> {
  const { range } = options;
  if (range !== undefined) checkRange(range);
  // HTTP has no empty range: one byte tells whether the object exists.
  const asked = range?.length === 0 ? { offset: range.offset, length: 1 } : range;
  const reply = await requestBody(connection, place, options.signal, asked, undefined);
  if (reply === null) return EMPTY;
  if (range?.length === 0) {
    reply.stream.destroy();
    reply.release();
    return EMPTY;
  }
  return { bytes: reply.bytes, chunks: readOn(connection, place, reply, options) };
}

/** @returns null where the range lies behind the object's end */
async function requestBody(
  connection: S3Connection,
  place: ReadPlace,
  signal: AbortSignal | undefined,
  range: ByteRange | undefined,
  etag: string | undefined,
): Promise<S3Reply | null> {
  const { value, release } = await connection.requestHeld(place, signal, async (client, requestOptions) => {
    try {
      return await client.getObject(
        {
          Bucket: place.bucket,
          Key: place.key,
          ...(range === undefined ? {} : { Range: rangeHeader(range) }),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        },
        requestOptions,
      );
    } catch (error) {
      if (statusOf(error) === 416 || faultNameOf(error) === 'InvalidRange') return null;
      throw error;
    }
  });
  if (value?.Body === undefined) {
    release();
    return null;
  }
  const stream = value.Body as Readable;
  stream.once('close', release);
  return { stream, bytes: value.ContentLength, etag: value.ETag, release };
}

function rangeHeader(range: ByteRange): string {
  const last = range.offset + range.length - 1;
  return Number.isFinite(last) ? `bytes=${range.offset}-${last}` : `bytes=${range.offset}-`;
}

async function* readOn(
  connection: S3Connection,
  place: ReadPlace,
  first: S3Reply,
  options: GetOptions,
): AsyncGenerator<Uint8Array> {
  const start = options.range?.offset ?? 0;
  let reply = first;
  let done = 0;
  let failures = 0;
  for (;;) {
    let fault: unknown;
    try {
      for await (const chunk of reply.stream as AsyncIterable<Uint8Array>) {
        options.signal?.throwIfAborted();
        done += chunk.length;
        failures = 0;
        yield chunk;
      }
      return;
    } catch (error) {
      fault = error;
    } finally {
      reply.release();
    }
    options.signal?.throwIfAborted();
    failures += 1;
    const left = first.bytes === undefined ? 0 : first.bytes - done;
    if (left <= 0 || !isBrokenConnection(fault) || failures >= connection.attempts) {
      throw s3StoreError(fault, place);
    }
    await orAbort(sleep(RESUME_DELAY_MS * 2 ** failures), options.signal);
    reply = await resume(
      connection,
      place,
      options.signal,
      { offset: start + done, length: left },
      first.etag,
    );
  }
}

async function resume(
  connection: S3Connection,
  place: ReadPlace,
  signal: AbortSignal | undefined,
  rest: ByteRange,
  etag: string | undefined,
): Promise<S3Reply> {
  const reply = await requestBody(connection, place, signal, rest, etag);
  if (reply !== null) return reply;
  throw new ImagemillError(
    'STORE_UNAVAILABLE',
    `expected ${rest.length} more bytes of ${JSON.stringify(place.key)} in bucket ${JSON.stringify(place.bucket)} at ${place.address}, got a shorter object`,
  );
}

async function* noChunks(): AsyncGenerator<Uint8Array> {
  yield* [];
}
