import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStreamParser, type StreamMessage } from '../../src/client/event-stream.ts';

function parse(text: string, cuts: readonly number[] = []): StreamMessage[] {
  const parser = new EventStreamParser();
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
  return places.slice(1).flatMap((end, index) => parser.push(text.slice(places[index], end)));
}

describe('a parser of server-sent events', () => {
  it('reads fields, comments, lines of every kind and blocks without data', () => {
    const parser = new EventStreamParser('before');
    expect(parser.push('\uFEFFretry: 1500\n\n')).toEqual([
      { lastEventId: 'before', type: 'message', data: null },
    ]);
    expect(parser.retryMs).toBe(1_500);
    expect(parser.push(':\n\n').at(-1)?.data).toBeNull();
    expect(parser.push('id: 7\r\nevent: run\r\ndata: a\r\ndata:b\r\ndata\r\n\r\n')).toEqual([
      { lastEventId: '7', type: 'run', data: 'a\nb\n' },
    ]);
    expect(parser.push('data:  x\nunknown: y\nretry: soon\nid: 8\0\n\n')).toEqual([
      { lastEventId: '7', type: 'message', data: ' x' },
    ]);
    expect(parser.push('id\ndata: z\n\n')).toEqual([{ lastEventId: '', type: 'message', data: 'z' }]);
    expect(parser.retryMs).toBe(1_500);
  });

  it('holds back what is not complete', () => {
    const parser = new EventStreamParser();
    expect(parser.push('id: 1\nda')).toEqual([]);
    expect(parser.push('ta: x\n')).toEqual([]);
    expect(parser.push('\n')).toEqual([{ lastEventId: '1', type: 'message', data: 'x' }]);
  });

  it('gives the same messages wherever the pieces end', () => {
    const text =
      'id: 1\r\nevent: run\r\ndata: {"a":1}\r\n\r\n:\n\nid: 2\ndata: é💥\n\n\rid: 3\rdata: x\r\r\n';
    const whole = parse(text);
    expect(whole.filter(({ data }) => data !== null)).toHaveLength(3);
    fc.assert(
      fc.property(fc.array(fc.nat(200), { maxLength: 40 }), (cuts) => {
        expect(parse(text, cuts).filter(({ data }) => data !== null)).toEqual(
          whole.filter(({ data }) => data !== null),
        );
      }),
    );
  });
});
