import { z } from 'zod';
import { submittedSchema, type Submitted } from '../../contract/api/runs.ts';
import { defineDocument } from '../../contract/document.ts';
import { ImagemillError } from '../../contract/errors.ts';
import { sha256, sha256Json } from '../../storage/digest.ts';
import { lookFirstStore } from '../../storage/fenced-store.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

/** How long a key stands for its request. */
const KEY_HOURS = 24;
const KEY_PATTERN = /^[\x21-\x7e]{1,255}$/;

/** Below IMAGEMILL_HOME: what was answered to the request with a key. */
const answerDocument = defineDocument('idempotent-answer', 1, {
  request: z.string(),
  at: z.iso.datetime(),
  answer: submittedSchema,
});

/** Makes a request that bears a key count once, however often it is sent. */
export class Idempotency {
  readonly #store: ObjectStore;
  readonly #now: () => number;
  /** Requests in progress: the same one sent again waits for the first. */
  readonly #inProgress = new Map<string, { readonly request: string; readonly answer: Promise<Submitted> }>();

  constructor(home: ObjectStore, now = Date.now) {
    this.#store = home;
    this.#now = now;
  }

  /**
   * @param key `Idempotency-Key` of the request; undefined: it is done without
   * @throws ImagemillError REQUEST_INVALID, IDEMPOTENCY_KEY_REUSED, and what `work` throws
   */
  async once(key: string | undefined, request: unknown, work: () => Promise<Submitted>): Promise<Submitted> {
    if (key === undefined) return work();
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

  async #once(key: string, request: string, work: () => Promise<Submitted>): Promise<Submitted> {
    const place = `idempotency/${sha256(new TextEncoder().encode(key)).replace(':', '-')}.json`;
    const earlier = await this.#find(place);
    if (earlier !== null) {
      refuseOther(earlier.request, request, key);
      return { ...earlier.answer, created: false };
    }
    const answer = await work();
    const at = new Date(this.#now()).toISOString();
    const document = answerDocument.encode({ schema: answerDocument.id, request, at, answer });
    await lookFirstStore(this.#store).put(place, document);
    return answer;
  }

  async #find(place: string) {
    try {
      const found = answerDocument.decode(await this.#store.get(place), this.#store.uriOf(place));
      return this.#now() - Date.parse(found.at) < KEY_HOURS * 3_600_000 ? found : null;
    } catch (error) {
      if (
        error instanceof ImagemillError &&
        (error.code === 'OBJECT_NOT_FOUND' || error.code === 'STORE_NOT_FOUND')
      ) {
        return null;
      }
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
