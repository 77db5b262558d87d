import { beforeEach, describe, expect, it } from 'vitest';
import { ImagemillError, type ErrorCode } from '../../src/contract/errors.ts';
import { MemoryBucket, MemoryStore } from '../../src/storage/memory-store.ts';
import { checkWritable, probeConditionalPut } from '../../src/storage/probe.ts';
import { expectCode, keysOf } from './contract-helpers.ts';

let store: MemoryStore;
beforeEach(() => {
  store = new MemoryStore(new MemoryBucket('probed'));
});

const failing = (code: ErrorCode) => async (): Promise<never> => {
  throw new ImagemillError(code, `told to be ${code}`);
};

describe('probeConditionalPut', () => {
  it('holds for a store that keeps its promise, and leaves nothing behind', async () => {
    expect(await probeConditionalPut(store)).toBe(true);
    expect(await keysOf(store)).toEqual([]);
  });

  it.each<[string, () => void]>([
    [
      'ignores the condition',
      () => {
        store.putIfAbsent = async (key, body) => {
          await store.put(key, body);
          return true;
        };
      },
    ],
    [
      'checks first and writes later',
      () => {
        store.putIfAbsent = async (key, body) => {
          if ((await store.head(key)) !== null) return false;
          await store.put(key, body);
          return true;
        };
      },
    ],
    [
      'says no and overwrites all the same',
      () => {
        const original = store.putIfAbsent.bind(store);
        store.putIfAbsent = async (key, body) => {
          const created = await original(key, body);
          if (!created) await store.put(key, body);
          return created;
        };
      },
    ],
    [
      'never creates anything',
      () => {
        store.putIfAbsent = async () => false;
      },
    ],
    [
      'does not know conditions',
      () => {
        store.putIfAbsent = failing('STORE_CONDITIONAL_PUT_UNSUPPORTED');
      },
    ],
  ])('finds out a store that %s', async (_, sabotage) => {
    sabotage();
    expect(await probeConditionalPut(store)).toBe(false);
    expect(await keysOf(store)).toEqual([]);
  });

  it('forgives one race whose winner’s reply was lost', async () => {
    const original = store.putIfAbsent.bind(store);
    let lost = false;
    store.putIfAbsent = async (key, body) => {
      const created = await original(key, body);
      if (!created || lost) return created;
      lost = true;
      return false;
    };
    expect(await probeConditionalPut(store)).toBe(true);
  });

  it('passes on that the store cannot be asked', async () => {
    store.putIfAbsent = failing('STORE_UNREACHABLE');
    await expectCode(probeConditionalPut(store), 'STORE_UNREACHABLE');
  });
});

describe('checkWritable', () => {
  it('accepts a store that takes an object, and leaves nothing behind', async () => {
    await checkWritable(store);
    expect(await keysOf(store)).toEqual([]);
  });

  it.each<ErrorCode>(['STORE_ACCESS_DENIED', 'STORE_NOT_FOUND', 'STORE_FULL', 'URI_INVALID'])(
    'turns %s into OUTPUT_NOT_WRITABLE with the reason',
    async (code) => {
      store.put = failing(code);
      const error = await expectCode(checkWritable(store), 'OUTPUT_NOT_WRITABLE');
      expect(error.message).toContain('memory://probed/');
      expect(error.message).toContain(`told to be ${code}`);
    },
  );

  it.each<ErrorCode>(['STORE_UNREACHABLE', 'STORE_UNAVAILABLE'])('leaves %s as it is', async (code) => {
    store.put = failing(code);
    await expectCode(checkWritable(store), code);
  });

  it('accepts a store that refuses deletions', async () => {
    store.delete = failing('STORE_ACCESS_DENIED');
    await checkWritable(store);
    expect(await keysOf(store)).toHaveLength(1);
  });
});
