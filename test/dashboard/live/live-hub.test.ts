import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveEvent } from '../../../src/contract/api/events.ts';
import { LiveHub, type SentEvent } from '../../../src/dashboard/live/live-hub.ts';
import { runId } from '../support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const committed = (run: number, count: number): LiveEvent => ({ type: 'committed', run: runId(run), count });
const publish = (hub: LiveHub, run: number, count: number) =>
  hub.publish(`committed:${run}`, () => committed(run, count));
const said = (events: readonly SentEvent[]) => events.map(({ data }) => JSON.parse(data) as LiveEvent);

function listening(hub: LiveHub, lastEventId?: string) {
  const heard: SentEvent[] = [];
  const { missed, stop } = hub.listen((event) => heard.push(event), lastEventId);
  return { heard, missed, stop };
}

describe('a hub of live events', () => {
  it('sends what is published, soon, to everyone who listens, until they stop', () => {
    const hub = new LiveHub('boot');
    const [a, b] = [listening(hub), listening(hub)];
    publish(hub, 1, 1);
    expect(a.heard).toEqual([]);
    vi.advanceTimersByTime(500);
    expect(said(a.heard)).toEqual([committed(1, 1)]);
    expect(b.heard).toEqual(a.heard);
    b.stop();
    publish(hub, 1, 2);
    vi.advanceTimersByTime(500);
    expect([a.heard.length, b.heard.length, hub.listeners]).toEqual([2, 1, 1]);
  });

  it('merges events of a key until they are sent: the newest counts', () => {
    const hub = new LiveHub('boot');
    const { heard } = listening(hub);
    for (let count = 0; count < 1_000; count += 1) publish(hub, 1, count);
    publish(hub, 2, 7);
    vi.advanceTimersByTime(500);
    expect(said(heard)).toEqual([committed(1, 999), committed(2, 7)]);
  });

  it('asks for an event when it is sent, and makes its text once', () => {
    const hub = new LiveHub('boot');
    const listeners = Array.from({ length: 100 }, () => listening(hub));
    const make = vi.fn(() => committed(1, 1));
    hub.publish('x', make);
    expect(make).not.toHaveBeenCalled();
    hub.flush();
    expect(make).toHaveBeenCalledTimes(1);
    expect(listeners.every(({ heard }) => heard.length === 1)).toBe(true);
  });

  it('sends a flood in pieces, and everything of it in the end', () => {
    const hub = new LiveHub('boot');
    const { heard } = listening(hub);
    for (let run = 0; run < 1_000; run += 1) publish(hub, run, 1);
    vi.advanceTimersByTime(500);
    expect(heard).toHaveLength(200);
    vi.advanceTimersByTime(2_000);
    expect(new Set(heard.map(({ run }) => run)).size).toBe(1_000);
    vi.advanceTimersByTime(10_000);
    expect(heard).toHaveLength(1_000);
  });

  it('tells who comes back what they missed, merged', () => {
    const hub = new LiveHub('boot');
    const first = listening(hub);
    publish(hub, 1, 1);
    hub.flush();
    const last = first.heard.at(-1)?.id;
    first.stop();
    for (let count = 2; count <= 10; count += 1) {
      publish(hub, 1, count);
      publish(hub, 2, count);
      hub.flush();
    }
    const { missed, heard } = listening(hub, last);
    expect(said(missed)).toEqual([committed(1, 10), committed(2, 10)]);
    expect(missed.at(-1)?.id).toBe(hub.position);
    expect(heard).toEqual([]);
    expect(listening(hub, hub.position).missed).toEqual([]);
    expect(listening(hub).missed).toEqual([]);
  });

  it('tells who was away for too long, or knows another process, to begin anew', () => {
    const hub = new LiveHub('boot');
    for (let run = 0; run < 2_101; run += 1) {
      publish(hub, run, 1);
      hub.flush();
    }
    const reset = [{ type: 'reset' }];
    expect(said(listening(hub, 'boot-101').missed)).toHaveLength(2_000);
    expect(said(listening(hub, 'boot-100').missed)).toEqual(reset);
    for (const id of [
      'other-2101',
      'boot-2102',
      'boot-',
      'boot',
      '',
      '-1',
      'boot--1',
      'boot-1e3',
      'boot-2000.5',
      'boot-2000-1',
      'boot-9'.padEnd(90, '9'),
    ]) {
      expect(said(listening(hub, id).missed), id).toEqual(reset);
    }
    expect(listening(hub, 'x').missed[0]?.id).toBe(hub.position);
  });

  it('of two processes no ids are the same', () => {
    expect(new LiveHub().position).not.toBe(new LiveHub().position);
  });

  it('gives everyone the newest state of everything, however often they come and go', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('publish' as const), run: fc.nat(5), count: fc.nat(1_000) }),
      fc.record({ kind: fc.constantFrom('flush' as const, 'drop' as const, 'return' as const) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const hub = new LiveHub('boot');
        const truth = new Map<string, number>();
        const shown = new Map<string, number>();
        let last = hub.position;
        let stop = null as (() => void) | null;
        const see = ({ id, data }: SentEvent) => {
          const event = JSON.parse(data) as LiveEvent;
          if (event.type !== 'committed') throw new Error(`unexpected ${event.type}`);
          shown.set(event.run, event.count);
          last = id;
        };
        const comeBack = () => {
          const joined = hub.listen(see, last);
          joined.missed.forEach(see);
          stop = joined.stop;
        };
        for (const each of actions) {
          if (each.kind === 'publish') {
            truth.set(runId(each.run), each.count);
            publish(hub, each.run, each.count);
          } else if (each.kind === 'flush') hub.flush();
          else if (each.kind === 'drop') {
            stop?.();
            stop = null;
          } else if (stop === null) comeBack();
        }
        if (stop === null) comeBack();
        hub.flush();
        expect(shown).toEqual(truth);
      }),
    );
  });
});
