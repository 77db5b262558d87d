import { randomUUID } from 'node:crypto';
import { asImagemillError, ImagemillError, type ErrorCode } from '../contract/errors.ts';
import type { ObjectStore } from './object-store.ts';

/** Writers that race for one key: a server that checks and then writes lets two of them win sooner or later. */
const RACERS = 8;
/** Races; and further ones in place of those that a lost reply left without a winner. */
const RACES = 3;
const RACES_WITHOUT_WINNER = 2;

/** Failures that say nothing about whether the location can be written to. */
const PASSING_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['STORE_UNREACHABLE', 'STORE_UNAVAILABLE']);

/** What a probe that was interrupted leaves behind begins with this. */
export const PROBE_PREFIX = '.imagemill-probe-';

const probeKey = (): string => PROBE_PREFIX + randomUUID();

/**
 * Finds out by trying whether `putIfAbsent` holds what it promises here: of several at once one wins and its bytes
 * stay, and a later one is refused. Leaves nothing behind.
 * @throws ImagemillError as every method of a store
 */
export async function probeConditionalPut(store: ObjectStore): Promise<boolean> {
  let withoutWinner = 0;
  for (let race = 0; race < RACES;) {
    const outcome = await raceForKey(store, probeKey());
    if (outcome === 'broken') return false;
    if (outcome === 'held') race += 1;
    else if (++withoutWinner > RACES_WITHOUT_WINNER) return false;
  }
  return true;
}

async function raceForKey(store: ObjectStore, key: string): Promise<'held' | 'broken' | 'no winner'> {
  const bodies = Array.from({ length: RACERS }, () => new TextEncoder().encode(randomUUID()));
  try {
    const outcomes = await Promise.allSettled(bodies.map((body) => store.putIfAbsent(key, body)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    const winners = bodies.filter((_, index) => {
      const outcome = outcomes[index];
      return outcome?.status === 'fulfilled' && outcome.value;
    });
    const [winner] = winners;
    if (winner === undefined) return 'no winner';
    const createdAgain = await store.putIfAbsent(key, new TextEncoder().encode('too late'));
    const stored = await store.get(key);
    return winners.length === 1 && !createdAgain && Buffer.compare(stored, winner) === 0 ? 'held' : 'broken';
  } catch (error) {
    if (asImagemillError(error).code === 'STORE_CONDITIONAL_PUT_UNSUPPORTED') return 'broken';
    throw error;
  } finally {
    await removeProbe(store, key);
  }
}

/**
 * Writes an object below the store and deletes it again.
 * @throws ImagemillError OUTPUT_NOT_WRITABLE with the store's reason; STORE_UNREACHABLE and STORE_UNAVAILABLE as they are
 */
export async function checkWritable(store: ObjectStore): Promise<void> {
  const key = probeKey();
  try {
    await store.put(key, new Uint8Array());
  } catch (cause) {
    const reason = asImagemillError(cause);
    if (PASSING_CODES.has(reason.code)) throw reason;
    throw new ImagemillError(
      'OUTPUT_NOT_WRITABLE',
      `expected to write below ${store.rootUri}, got ${reason.code}: ${reason.message}`,
      { cause },
    );
  }
  await removeProbe(store, key);
}

/** A location may allow writes and refuse deletions; the probe's object stays there then. */
async function removeProbe(store: ObjectStore, key: string): Promise<void> {
  try {
    await store.delete(key);
  } catch (error) {
    const { code } = asImagemillError(error);
    if (code !== 'STORE_ACCESS_DENIED' && !PASSING_CODES.has(code)) throw error;
  }
}
