import { describe, expect, it } from 'vitest';
import { duration, number } from '../../src/commands/print.ts';
import { formatProgress, ProgressLine } from '../../src/commands/progress-line.ts';

function terminal(isTTY: boolean): { stream: NodeJS.WriteStream; written: string[] } {
  const written: string[] = [];
  const stream = { isTTY, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  return { stream, written };
}

describe('formatProgress', () => {
  it('shows items, rate, time left and errors', () => {
    const progress = { items: 5_000, errors: 3, total: 20_000, totalKnown: true };
    expect(formatProgress(progress, 150)).toBe(
      '██████░░░░░░░░░░░░░░░░░░ 5,000/20,000 images · 150 images/s · ETA 1 min 40 s · 3 errors',
    );
  });

  it('promises no end while the listing goes on', () => {
    const progress = { items: 10, errors: 0, total: 1_000, totalKnown: false };
    expect(formatProgress(progress, 10)).toBe('10/1,000+ images · 10 images/s · 0 errors');
  });
});

describe('ProgressLine', () => {
  const progress = (items: number) => ({ items, errors: 0, total: 100, totalKnown: true });

  it('is silent where stderr is not a terminal', () => {
    const { stream, written } = terminal(false);
    const line = new ProgressLine(stream);
    line.update(progress(1), 0);
    line.end();
    expect(written).toEqual([]);
  });

  it('redraws at most five times a second, and cleans up', () => {
    const { stream, written } = terminal(true);
    const line = new ProgressLine(stream);
    for (let ms = 1_000; ms < 2_000; ms += 10) line.update(progress(ms / 10 - 90), ms);
    expect(written.length).toBe(5);
    expect(written.at(-1)).toContain('100 images/s');
    line.end();
    expect(written.at(-1)).toBe('\r\u001B[K');
  });
});

describe('print', () => {
  it('says durations and numbers as people do', () => {
    expect([0.4, 59, 61, 3_600 * 3 + 61].map(duration)).toEqual(['0 s', '59 s', '1 min 1 s', '3 h 1 min']);
    expect(number(1_234_567.89)).toBe('1,234,567.9');
  });
});
