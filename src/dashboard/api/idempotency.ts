import { z } from 'zod';
import { submittedSchema, type Submitted } from '../../contract/api/runs.ts';
import { defineDocument } from '../../contract/document.ts';
import { asImagemillError, ImagemillError } from '../../contract/errors.ts';
import { runIdSchema } from '../../contract/ids.ts';
import { newRunIdentity, type RunIdentity } from '../../producer/create-run.ts';
import { sha256, sha256Json } from '../../storage/digest.ts';
import { lookFirstStore } from '../../storage/fenced-store.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** How long a key stands for its request. */
const KEY_MS = 24 * 3_600_000;
const KEY_PATTERN = /^[\x21-\x7e]{1,255}$/;
const FOLDER = 'idempotency/';

/** Below IMAGEMILL_HOME: what a key stands for. Written before the run is created, and again with the answer. */
const keyDocument = defineDocument('idempotency-key', 1, {
  /** Digest of the request. */
  request: z.string(),
  /** The run that the request becomes, however often it is made. */
  run: runIdSchema,
  createdAt: z.iso.datetime(),
  /** null as long as the request is being worked on, or where whoever did so has died. */
  answer: submittedSchema.nullable(),
});
type KeyRecord = z.infer<typeof keyDocument.schema>;

/**
 * Creates a run.
 * @param identity that it must get; undefined: any
 */
type Work = (identity: RunIdentity | undefined) => Promise<Submitted>;

/**
 * Makes a request that bears a key count once, however often it is sent, to whichever dashboard of the same home, and
 * whenever one of them dies: the run's id is recorded before the run is created.
 */
export class Idempotency {
  readonly #store: ObjectStore;
  readonly #now: () => number;
  /** Requests in progress: the same one sent again waits for the first. */
  readonly #inProgress = new Map<string, { readonly request: string; readonly answer: Promise<Submitted> }>();

  constructor(home: ObjectStore, now = Date.now) {
    this.#store = lookFirstStore(home);
    this.#now = now;
  }

  /**
   * @param key `Idempotency-Key` of the request; undefined: it is done without
   * @throws ImagemillError REQUEST_INVALID, IDEMPOTENCY_KEY_REUSED, and what `work` throws
   */
  async once(key: string | undefined, request: unknown, work: Work): Promise<Submitted> {
    if (key === undefined) return work(undefined);
    if (!KEY_PATTERN.test(key)) {
      throw new ImagemillError(
        'REQUEST_INVALID',
        'idempotency-key: expected 1 to 255 printable characters without spaces',
      );
    }
    const digest = sha256Json(request);
    const running = this.#inProgress.get(key);
    if (running !== undefined) {
      refuseOther(running.request, digest, key);
      return running.answer;
    }
    const answer = this.#once(key, digest, work).finally(() => this.#inProgress.delete(key));
    this.#inProgress.set(key, { request: digest, answer });
    return answer;
  }

  async #once(key: string, request: string, work: Work): Promise<Submitted> {
    const place = `${FOLDER}${sha256(new TextEncoder().encode(key)).replace(':', '-')}.json`;
    const record = await this.#begin(place, request);
    refuseOther(record.request, request, key);
    if (record.answer !== null) return record.answer;
    let answer: Submitted;
    try {
      answer = await work({ run: record.run, createdAt: record.createdAt });
    } catch (error) {
      // Nothing came of it: the key is free for the request that was meant.
      if (!asImagemillError(error).retryable) await this.#store.delete(place);
      throw error;
    }
    await this.#store.put(place, keyDocument.encode({ ...record, answer }));
    return answer;
  }

  /** The record of a key: the one that is there, or a new one. */
  async #begin(place: string, request: string): Promise<KeyRecord> {
    const earlier = await this.#find(place);
    if (earlier !== null && !this.#isOver(Date.parse(earlier.createdAt))) return earlier;
    const identity = newRunIdentity(new Date(this.#now()));
    const record: KeyRecord = { schema: keyDocument.id, request, ...identity, answer: null };
    const bytes = keyDocument.encode(record);
    if (earlier !== null) await this.#store.put(place, bytes);
    else await this.#store.putIfAbsent(place, bytes);
    // Two dashboards may have written at once: both go by what stands.
    return (await this.#find(place)) ?? record;
  }

  /** Removes the records of keys that stand for nothing any more. @returns how many */
  async discardExpired(): Promise<number> {
    let discarded = 0;
    for await (const page of this.#store.list(FOLDER)) {
      for (const { key, modifiedAt } of page) {
        if (!this.#isOver(modifiedAt.getTime())) continue;
        await this.#store.delete(key);
        discarded += 1;
      }
    }
    return discarded;
  }

  #isOver(sinceMs: number): boolean {
    return this.#now() - sinceMs >= KEY_MS;
  }

  async #find(place: string): Promise<KeyRecord | null> {
    try {
      return keyDocument.decode(await this.#store.get(place), this.#store.uriOf(place));
    } catch (error) {
      const { code } = asImagemillError(error);
      if (code === 'OBJECT_NOT_FOUND' || code === 'STORE_NOT_FOUND') return null;
      throw error;
    }
  }
}

function refuseOther(earlier: string, request: string, key: string): void {
  if (earlier === request) return;
  throw new ImagemillError(
    'IDEMPOTENCY_KEY_REUSED',
    `idempotency-key: expected the request that was made with ${key} before, got another one`,
  );
}
