import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { setTimeout as sleep } from 'node:timers/promises';
import { ImagemillError } from '../contract/errors.ts';
import type { GetOptions, ListOptions, ObjectInfo, ObjectStore } from './object-store.ts';
import type { S3Connection } from './s3-connection.ts';
import { faultNameOf, statusOf, type S3Place } from './s3-errors.ts';
import { openS3Body } from './s3-read.ts';
import { abortUnfinishedUploads } from './s3-leftovers.ts';
import { uploadStream } from './s3-upload.ts';

const PAGE_KEYS = 1000;
/** S3's own limit. */
const KEY_BYTES = 1024;
/** Tries of a conditional put that meets another writer of the same key at the same moment. */
const CONFLICT_ATTEMPTS = 8;
const CONFLICT_DELAY_MS = 50;

type Creation = 'created' | 'exists' | 'conflict' | 'unsupported';

/** A store below a prefix of an S3 bucket. Keys are raw, as in the aws command line: `%` and `#` stand for themselves. */
export class S3Store implements ObjectStore {
  readonly rootUri: string;
  readonly #connection: S3Connection;
  readonly #bucket: string;
  readonly #prefix: string;

  /** @param prefix empty, or ends in `/` */
  constructor(connection: S3Connection, bucket: string, prefix: string) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#prefix = prefix;
    this.rootUri = `s3://${bucket}/${prefix}`;
  }

  uriOf(key: string): string {
    return this.rootUri + key;
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { bytes, chunks } = await openS3Body(this.#connection, this.#placeOf(key), options);
    const parts: Uint8Array[] = [];
    if (bytes === undefined) {
      for await (const chunk of chunks) parts.push(chunk);
      return new Uint8Array(Buffer.concat(parts));
    }
    const body = new Uint8Array(bytes);
    let filled = 0;
    for await (const chunk of chunks) {
      body.set(chunk, filled);
      filled += chunk.length;
    }
    return body;
  }

  async getStream(key: string, options: GetOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    return (await openS3Body(this.#connection, this.#placeOf(key), options)).chunks;
  }

  async head(key: string): Promise<ObjectInfo | null> {
    const place = this.#placeOf(key);
    const found = await this.#connection.request(place, undefined, async (client) => {
      try {
        return await client.headObject({ Bucket: place.bucket, Key: place.key });
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw error;
      }
    });
    if (found === null) return null;
    return {
      key,
      bytes: found.ContentLength ?? 0,
      etag: found.ETag ?? '',
      modifiedAt: found.LastModified ?? new Date(0),
    };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo[]> {
    const start = options.startAfter ?? '';
    let startAfter = start === '' ? undefined : this.#prefix + start;
    let token: string | undefined;
    for (;;) {
      const page = await this.#listPage(this.#prefix + prefix, startAfter, token, options.signal);
      const objects = this.#objectsOf(page);
      if (objects.length > 0) yield objects;
      if (page.IsTruncated !== true) return;
      // Going on after the last key works on every server and with every key; a page without keys has only its token.
      const last = page.Contents?.at(-1)?.Key;
      if (last !== undefined) [startAfter, token] = [decodeKey(last, page), undefined];
      else if (page.NextContinuationToken !== undefined) token = page.NextContinuationToken;
      else return;
    }
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const place = this.#placeOf(key);
    await this.#connection.request(place, undefined, (client) =>
      client.putObject({ Bucket: place.bucket, Key: place.key, Body: body }),
    );
  }

  async putIfAbsent(key: string, body: Uint8Array): Promise<boolean> {
    const place = this.#placeOf(key);
    for (let attempt = 1; attempt <= CONFLICT_ATTEMPTS; attempt++) {
      const outcome = await this.#connection.request<Creation>(place, undefined, (client) =>
        client
          .putObject({ Bucket: place.bucket, Key: place.key, Body: body, IfNoneMatch: '*' })
          .then(() => 'created', creationOutcome),
      );
      if (outcome === 'created') return true;
      if (outcome === 'exists') return false;
      if (outcome === 'unsupported') throw conditionalPutUnsupported(place);
      await sleep(CONFLICT_DELAY_MS * attempt * (0.5 + Math.random()));
    }
    throw new ImagemillError(
      'STORE_UNAVAILABLE',
      `expected to create ${this.uriOf(key)} at ${place.address}, got ${CONFLICT_ATTEMPTS} conflicts with other writers`,
    );
  }

  async putStream(key: string, chunks: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<number> {
    return uploadStream(this.#connection, this.#placeOf(key), chunks, signal);
  }

  async delete(key: string): Promise<void> {
    const place = this.#placeOf(key);
    await this.#connection.request(place, undefined, async (client) => {
      try {
        await client.deleteObject({ Bucket: place.bucket, Key: place.key });
      } catch (error) {
        // Some gateways answer like this where AWS says 204.
        if (faultNameOf(error) !== 'NoSuchKey') throw error;
      }
    });
  }

  discardUnfinished(before: Date): Promise<number> {
    return abortUnfinishedUploads(this.#connection, { bucket: this.#bucket, prefix: this.#prefix }, before);
  }

  #listPage(
    prefix: string,
    startAfter: string | undefined,
    token: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ListObjectsV2CommandOutput> {
    const place: S3Place = { address: this.#connection.address, bucket: this.#bucket };
    return this.#connection.request(place, signal, (client, requestOptions) =>
      client.listObjectsV2(
        {
          Bucket: this.#bucket,
          Prefix: prefix,
          MaxKeys: PAGE_KEYS,
          // XML cannot hold every character that a key can.
          EncodingType: 'url',
          ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        },
        requestOptions,
      ),
    );
  }

  #objectsOf(page: ListObjectsV2CommandOutput): ObjectInfo[] {
    return (page.Contents ?? []).flatMap((object) => {
      const key = decodeKey(object.Key ?? '', page).slice(this.#prefix.length);
      // The marker object that consoles create for a folder has the root's own name.
      if (key === '') return [];
      return {
        key,
        bytes: object.Size ?? 0,
        etag: object.ETag ?? '',
        modifiedAt: object.LastModified ?? new Date(0),
      };
    });
  }

  #placeOf(key: string): S3Place & { readonly key: string } {
    const fullKey = this.#prefix + key;
    const fault = faultOfKey(key, fullKey);
    if (fault === null) return { address: this.#connection.address, bucket: this.#bucket, key: fullKey };
    throw new ImagemillError(
      'URI_INVALID',
      `expected a key of 1 to ${KEY_BYTES} bytes below ${this.rootUri}, got ${fault}`,
    );
  }
}

function faultOfKey(key: string, fullKey: string): string | null {
  if (key === '') return 'an empty one';
  if (/\p{Surrogate}/u.test(key)) return 'one with half of a surrogate pair';
  const bytes = Buffer.byteLength(fullKey);
  return bytes > KEY_BYTES ? `one of ${bytes} bytes` : null;
}

/** Undoes `encoding-type=url`, which AWS writes as in forms (`+` for a space). */
function decodeKey(key: string, page: ListObjectsV2CommandOutput): string {
  return page.EncodingType === 'url' ? decodeURIComponent(key.replaceAll('+', ' ')) : key;
}

/** @throws the error where it says nothing about the condition */
function creationOutcome(error: unknown): Creation {
  const status = statusOf(error);
  if (status === 412) return 'exists';
  if (status === 409) return 'conflict';
  if (status === 501) return 'unsupported';
  throw error;
}

function conditionalPutUnsupported(place: S3Place): ImagemillError {
  return new ImagemillError(
    'STORE_CONDITIONAL_PUT_UNSUPPORTED',
    `expected ${place.address} to honour If-None-Match in bucket ${JSON.stringify(place.bucket)}, got HTTP 501`,
  );
}
