import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { columnChart, shareBar, stackedBar } from '../../../../src/dashboard/pages/run/bars.ts';
import { cut, cutMiddle, digestText } from '../../../../src/dashboard/pages/run/shown-text.ts';

const HALF_PAIR = /\p{Surrogate}/u;

describe('cutting text', () => {
  it.each([cut, cutMiddle])('keeps to its length, and to whole characters', (cutting) => {
    const lengths = fc.integer({ min: 4, max: 60 });
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), lengths, (text, most) => {
        const shown = cutting(text, most);
        expect(shown.length).toBeLessThanOrEqual(most + 1);
        if (text.length <= most) expect(shown).toBe(text);
        else expect(shown).toContain('…');
        if (!HALF_PAIR.test(text)) expect(shown).not.toMatch(HALF_PAIR);
      }),
    );
  });

  it('keeps both ends of a location', () => {
    expect(cutMiddle('s3://bucket/a/very/long/way/to/image.jpg', 20)).toBe('s3://buck…image.jpg');
  });

  it('shortens digests, and nothing else', () => {
    expect(digestText(`sha256:${'ab'.repeat(32)}`).text).toContain('>sha256:abababababab<');
    expect(digestText('sha256:11').text).toContain('>sha256:11<');
  });
});

describe('bars', () => {
  it('keep within their box, whatever they are given', () => {
    fc.assert(
      fc.property(fc.double(), (share) => {
        const [, width = ''] = /width="([\d.]+)%"/.exec(shareBar(share).text) ?? [];
        expect(Number(width)).toBeGreaterThanOrEqual(0);
        expect(Number(width)).toBeLessThanOrEqual(100);
      }),
    );
  });

  it('stand side by side', () => {
    const made = stackedBar([
      { name: 'fetch', share: 0.25 },
      { name: 'decode', share: 0.75 },
    ]).text;
    expect(made).toMatch(/part-fetch"\s+x="0%"\s+width="25%"/);
    expect(made).toMatch(/part-decode"\s+x="25%"\s+width="75%"/);
  });

  it('show a small count beside a huge one, and nothing for none', () => {
    const heights = [...columnChart([0, 1, 1_000_000], 'x').text.matchAll(/\sheight="([\d.]+)"/g)].map(
      ([, height]) => Number(height),
    );
    expect(heights).toEqual([0, 1, 100]);
  });
});
