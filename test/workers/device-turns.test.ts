import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeviceTurns } from '../../src/workers/device-turns.ts';

/** As node's own, on the clock that the tests turn. */
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number, _value: undefined, { signal }: { signal: AbortSignal }) =>
    new Promise<void>((resolve, reject) => {
      const abort = () => {
        clearTimeout(timer);
        reject(new Error('aborted'));
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', abort);
        resolve();
      }, ms);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
    }),
}));

const PRIORITY = 100;

/** Everything that happens, in order, and a queue whose waiting shards the test decides on. */
function scene() {
  const events: string[] = [];
  let waiting: number[] = [];
  let resting = false;
  const labelling = {
    pause: vi.fn(async () => {
      events.push('labelling rests');
      resting = true;
    }),
    resume() {
      if (resting) events.push('labelling works');
      resting = false;
    },
  };
  const training = {
    pause: vi.fn(async () => void events.push('training pauses')),
    resume: vi.fn(() => void events.push('training resumes')),
  };
  const queues = {
    hasMoreUrgent: vi.fn(async (_: string, priority: number) => waiting.some((other) => other < priority)),
  };
  const turns = new DeviceTurns(queues, labelling);
  const stop = new AbortController();
  let end: (error?: Error) => void = () => {};
  const work = () =>
    new Promise<string>((resolve, reject) => {
      events.push('training begins');
      end = (error) => (error === undefined ? resolve('trained') : reject(error));
    });
  return {
    events,
    labelling,
    training,
    queues,
    stop,
    admits: (priority: number) => turns.admits(priority),
    train: () => turns.train(PRIORITY, training, stop.signal, work),
    wait: (...priorities: number[]) => (waiting = priorities),
    end: (error?: Error) => end(error),
    isResting: () => resting,
  };
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('DeviceTurns', () => {
  it('lets labelling rest while training works, and afterwards work again', async () => {
    const at = scene();
    const trained = at.train();
    await pass(5_000);
    expect(at.events).toEqual(['labelling rests', 'training begins']);
    at.end();
    expect(await trained).toBe('trained');
    await pass(2_000);
    expect(at.events).toEqual(['labelling rests', 'training begins', 'labelling works']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not begin before what is more urgent is done, and does not mind what is less', async () => {
    const at = scene();
    at.wait(1, 200);
    const trained = at.train();
    await pass(3_000);
    expect(at.events).toEqual([]);
    at.wait(100, 200);
    await pass(1_000);
    expect(at.events).toEqual(['labelling rests', 'training begins']);
    at.end();
    await trained;
  });

  it('yields at a batch boundary to more urgent shards, as often as they come', async () => {
    const at = scene();
    const trained = at.train();
    await pass(1_000);
    const expected = ['labelling rests', 'training begins'];
    for (let times = 0; times < 2; times += 1) {
      at.wait(5);
      await pass(2_000);
      expected.push('training pauses', 'labelling works');
      expect(at.events).toEqual(expected);
      at.wait();
      await pass(1_000);
      expected.push('labelling rests', 'training resumes');
      expect(at.events).toEqual(expected);
    }
    at.end();
    await trained;
  });

  it('keeps the device between two turns that follow one another', async () => {
    const at = scene();
    const first = at.train();
    await pass(100);
    at.end();
    await first;
    await pass(300);
    const second = at.train();
    await pass(5_000);
    expect(at.events.filter((event) => event === 'labelling works')).toEqual([]);
    at.end();
    await second;
    await pass(2_000);
    expect(at.events.at(-1)).toBe('labelling works');
  });

  it('lets more urgent shards in between two turns', async () => {
    const at = scene();
    const first = at.train();
    await pass(100);
    at.wait(1);
    at.end();
    await first;
    const second = at.train();
    await pass(400);
    expect(at.isResting()).toBe(false);
    at.wait();
    await pass(1_000);
    expect(at.events.slice(-2)).toEqual(['labelling rests', 'training begins']);
    at.end();
    await second;
  });

  it('hands the device back after work that failed', async () => {
    const at = scene();
    const trained = expect(at.train()).rejects.toThrow('broken');
    await pass(100);
    at.end(new Error('broken'));
    await trained;
    await pass(2_000);
    expect(at.isResting()).toBe(false);
  });

  it('hands the device back where labelling could not be stopped, and does not train', async () => {
    const at = scene();
    at.labelling.pause.mockRejectedValueOnce(new Error('no Redis'));
    const trained = expect(at.train()).rejects.toThrow('no Redis');
    await pass(5_000);
    await trained;
    expect(at.events).not.toContain('training begins');
  });

  it('stops waiting for its turn when the worker stops', async () => {
    const at = scene();
    at.wait(1);
    const trained = expect(at.train()).rejects.toThrow('shutdown');
    await pass(1_000);
    at.stop.abort(new Error('shutdown'));
    await pass(0);
    await trained;
    expect(at.events).toEqual([]);
  });

  it('stops waiting for shards in progress when the worker stops', async () => {
    const at = scene();
    at.labelling.pause.mockReturnValueOnce(new Promise(() => {}));
    const trained = expect(at.train()).rejects.toThrow('shutdown');
    await pass(1_000);
    at.stop.abort(new Error('shutdown'));
    await pass(0);
    await trained;
    expect(at.events).not.toContain('training begins');
  });

  it('lets training go on, to its end, when the worker stops while it yields', async () => {
    const at = scene();
    const trained = at.train();
    await pass(100);
    at.wait(1);
    await pass(1_000);
    expect(at.training.pause).toHaveBeenCalledOnce();
    at.stop.abort(new Error('shutdown'));
    await pass(0);
    expect(at.training.resume).toHaveBeenCalledOnce();
    at.end();
    expect(await trained).toBe('trained');
  });

  it('ends while it yields, when training fails then', async () => {
    const at = scene();
    const trained = expect(at.train()).rejects.toThrow('died');
    await pass(100);
    at.wait(1);
    await pass(1_000);
    at.end(new Error('died'));
    await pass(0);
    await trained;
    expect(at.isResting()).toBe(false);
    await pass(5_000);
    expect(at.events.slice(-2)).toEqual(['labelling works', 'training resumes']);
  });

  it('takes a Redis that does not answer for a queue without urgent work', async () => {
    const at = scene();
    at.queues.hasMoreUrgent.mockRejectedValue(new Error('no Redis'));
    const trained = at.train();
    await pass(3_000);
    expect(at.events).toEqual(['labelling rests', 'training begins']);
    at.end();
    await trained;
  });

  it('goes on where labelling could not be stopped again', async () => {
    const at = scene();
    const trained = at.train();
    await pass(100);
    at.wait(1);
    await pass(1_000);
    at.labelling.pause.mockRejectedValueOnce(new Error('no Redis'));
    at.wait();
    await pass(1_000);
    expect(at.training.resume).toHaveBeenCalledOnce();
    at.wait(1);
    await pass(1_000);
    expect(at.training.pause).toHaveBeenCalledTimes(2);
    at.end();
    await trained;
  });

  it('admits beside training, and until the device is released, only what is more urgent', async () => {
    const { admits, train, end } = scene();
    expect([0, 99, 100, 200].map(admits)).toEqual([true, true, true, true]);
    const trained = train();
    await vi.advanceTimersByTimeAsync(10);
    expect([0, 99, 100, 200].map(admits)).toEqual([true, true, false, false]);
    end();
    await vi.advanceTimersByTimeAsync(10);
    await trained;
    expect(admits(200)).toBe(false);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(admits(200)).toBe(true);
  });
});
