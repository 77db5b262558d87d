import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import {
  bytesOf,
  collect,
  expectCode,
  keysOf,
  MIB,
  pagesOf,
  patternOf,
  streamOf,
  textOf,
} from './contract-helpers.ts';

export function describeReading(store: () => ObjectStore): void {
  const body = patternOf(3 * MIB + 17);

  it('reads ranges, cut at the end of the object', async () => {
    await store().put('k', body);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.nat(body.length + 100), fc.constantFrom(0, body.length - 1, body.length)),
        fc.oneof(fc.nat(200_000), fc.constantFrom(0, 1, body.length, Number.MAX_SAFE_INTEGER)),
        async (offset, length) => {
          const got = await store().get('k', { range: { offset, length } });
          expect(Buffer.compare(got, body.slice(offset, offset + length))).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
    await expectCode(store().get('k', { range: { offset: -1, length: 1 } }), 'INTERNAL');
    await expectCode(store().getStream('k', { range: { offset: 0, length: 0.5 } }), 'INTERNAL');
  });

  it('streams an object and a range of it in small chunks', async () => {
    await store().put('k', body);
    const sizes: number[] = [];
    const parts: Uint8Array[] = [];
    for await (const chunk of await store().getStream('k')) {
      sizes.push(chunk.length);
      parts.push(chunk);
    }
    expect(Buffer.compare(Buffer.concat(parts), body)).toBe(0);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MIB);
    const range = { offset: 12_345, length: 2 * MIB };
    const part = await collect(await store().getStream('k', { range }));
    expect(Buffer.compare(part, body.slice(12_345, 12_345 + 2 * MIB))).toBe(0);
  });

  it('survives streams that are given up early', async () => {
    await store().put('k', body);
    for (let round = 0; round < 70; round++) {
      for await (const chunk of await store().getStream('k')) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    }
    expect(await store().get('k')).toHaveLength(body.length);
  });

  it('rejects with the reason of an aborted signal, before and in the middle', async () => {
    await store().put('k', body);
    const reason = new Error('enough');
    const aborted = AbortSignal.abort(reason);
    await expect(store().get('k', { signal: aborted })).rejects.toBe(reason);
    await expect(store().getStream('k', { signal: aborted })).rejects.toBe(reason);
    await expect(pagesOf(store().list('', { signal: aborted }))).rejects.toBe(reason);

    const controller = new AbortController();
    const stream = await store().getStream('k', { signal: controller.signal });
    const reading = (async () => {
      for await (const chunk of stream) {
        expect(chunk.length).toBeGreaterThan(0);
        controller.abort(reason);
      }
    })();
    await expect(reading).rejects.toBe(reason);
  });

  it('serves many readers with one signal, without a warning', async () => {
    await store().put('k', bytesOf('x'));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    const all = await Promise.all(Array.from({ length: 200 }, () => store().get('k', { signal })));
    expect(all).toHaveLength(200);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  });

  it('shows the old or the new object to readers of one that is being replaced, never a piece', async () => {
    const versions = [1, 2].map((value) => new Uint8Array(200_000 + value).fill(value));
    const [one, two] = versions as [Uint8Array, Uint8Array];
    await store().put('k', one);
    const state = { writing: true };
    const writer = (async () => {
      for (let round = 0; round < 20; round++) await store().put('k', round % 2 === 0 ? two : one);
      state.writing = false;
    })();
    while (state.writing) {
      const got = await store().get('k');
      expect(Buffer.compare(got, got[0] === 1 ? one : two)).toBe(0);
    }
    await writer;
  });
}

export function describeStreamedPuts(store: () => ObjectStore): void {
  it.each([0, 1, 1000, 8 * MIB, 8 * MIB + 1, 21 * MIB + 5])('writes %i bytes', async (length) => {
    const body = patternOf(length);
    expect(await store().putStream('s/k', streamOf(body, 777_777))).toBe(length);
    expect(Buffer.compare(await store().get('s/k'), body)).toBe(0);
    expect(await keysOf(store())).toEqual(['s/k']);
  });

  it('takes empty chunks and chunks larger than a part', async () => {
    const body = patternOf(19 * MIB);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array();
      yield body.slice(0, 18 * MIB);
      yield new Uint8Array();
      yield body.slice(18 * MIB);
    }
    expect(await store().putStream('k', chunks())).toBe(body.length);
    expect(Buffer.compare(await store().get('k'), body)).toBe(0);
  });

  it.each([10, 20 * MIB])('leaves nothing visible when its source fails after %i bytes', async (length) => {
    const failure = Object.assign(new Error('the source broke'), { code: 'ECONNRESET', syscall: 'read' });
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* streamOf(patternOf(length), 1_000_000);
      throw failure;
    }
    await expect(store().putStream('new', broken())).rejects.toBe(failure);
    expect(await store().head('new')).toBeNull();
    await store().put('old', bytesOf('kept'));
    await expect(store().putStream('old', broken())).rejects.toBe(failure);
    expect(textOf(await store().get('old'))).toBe('kept');
    expect(await keysOf(store())).toEqual(['old']);
  });

  it.each([10, 20 * MIB])(
    'leaves nothing visible when aborted after %i bytes of a silent source',
    async (length) => {
      const controller = new AbortController();
      const reason = new Error('enough');
      async function* silent(): AsyncGenerator<Uint8Array> {
        yield* streamOf(patternOf(length), 1_000_000);
        setTimeout(() => controller.abort(reason), 20);
        await new Promise(() => undefined);
      }
      await expect(store().putStream('k', silent(), controller.signal)).rejects.toBe(reason);
      expect(await store().head('k')).toBeNull();
      expect(await keysOf(store())).toEqual([]);
      await expect(store().putStream('k', streamOf(bytesOf('x'), 1), controller.signal)).rejects.toBe(reason);
      expect(await keysOf(store())).toEqual([]);
    },
  );
}
