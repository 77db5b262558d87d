import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawText, fitText, textWidth } from '../../../src/pipeline/charts/bitmap-text.ts';
import { ELLIPSIS, GLYPHS } from '../../../src/pipeline/charts/glyphs.ts';
import { svgDocument } from '../../../src/pipeline/charts/svg.ts';
import { draw } from './support.ts';

const PRINTABLE = Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index));
const INK = '#102030';

describe('the glyphs', () => {
  it('are one for every printable ASCII character, and only O and 0 look the same', () => {
    expect([...GLYPHS.keys()]).toEqual([...PRINTABLE, ELLIPSIS]);
    const drawings = PRINTABLE.filter((char) => char !== 'O').map((char) =>
      JSON.stringify(GLYPHS.get(char)?.runs),
    );
    expect(new Set(drawings).size).toBe(94);
  });

  it('keep inside their cells, and start in the first column unless they are punctuation', () => {
    for (const [char, { width, runs }] of GLYPHS) {
      for (const { column, row, length } of runs) {
        expect(column + length, char).toBeLessThanOrEqual(width);
        expect(row, char).toBeLessThan(/[gjpqy,;_]/.test(char) ? 9 : 7);
      }
      if (/[A-Za-z02-9]/.test(char)) expect(Math.min(...runs.map(({ column }) => column)), char).toBe(0);
    }
  });

  it('make numbers of as many digits equally wide', () => {
    expect(new Set(Array.from('0123456789', (digit) => textWidth(digit)))).toEqual(new Set([10]));
  });
});

describe('drawText', () => {
  it('draws whole pixels of one colour where it was told to, as wide as it said', async () => {
    const svg = svgDocument(80, 40, [drawText('Hi 42', { x: 10, y: 30, colour: INK })]);
    const drawing = await draw(svg);
    const pixelsOfInk =
      4 *
      ['H', 'i', '4', '2']
        .flatMap((char) => GLYPHS.get(char)?.runs ?? [])
        .reduce((n, run) => n + run.length, 0);
    expect(drawing.bounds()).toEqual({ left: 10, top: 16, right: 10 + textWidth('Hi 42') - 1, bottom: 29 });
    expect(drawing.find(INK)).toHaveLength(pixelsOfInk);
    expect(svg).not.toContain('<text');
  });

  it.each([
    ['start', 40],
    ['middle', 40 - 14],
    ['end', 40 - 28],
  ] as const)('anchors at the %s', async (anchor, left) => {
    const drawing = await draw(
      svgDocument(80, 40, [drawText('HHH', { x: 40, y: 20, colour: INK, anchor, scale: 28 / 17 })]),
    );
    expect(drawing.bounds().left).toBe(left);
  });

  it('turns text to be read upwards', async () => {
    const place = { x: 30, y: 60, colour: INK } as const;
    const upright = await draw(svgDocument(90, 90, [drawText('Low', place)]));
    const turned = await draw(svgDocument(90, 90, [drawText('Low', { ...place, upwards: true })]));
    expect(upright.bounds()).toEqual({ left: 30, top: 46, right: 29 + textWidth('Low'), bottom: 59 });
    expect(turned.bounds()).toEqual({ left: 16, top: 60 - textWidth('Low'), right: 29, bottom: 59 });
    expect(turned.find(INK)).toHaveLength(upright.find(INK).length);
  });

  it('leaves out accents and puts a question mark for what it has no glyph for', () => {
    const place = { x: 0, y: 0, colour: INK };
    expect(drawText('Ångström é', place)).toBe(drawText('Angstrom e', place));
    expect(drawText('日本😀\n', place)).toBe(drawText('????', place));
    expect(drawText('', place)).toBe('');
  });
});

describe('fitText', () => {
  it('keeps what fits and shortens what does not, as little as it can', () => {
    expect(fitText('container ship', textWidth('container ship'))).toBe('container ship');
    expect(fitText('container ship', textWidth('container ship') - 1)).toBe('container sh…');
    expect(fitText('container ship', textWidth('container …'))).toBe('container…');
    expect(fitText('W', 1)).toBe('');
  });

  it('never exceeds the width', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.integer({ min: 0, max: 300 }),
        fc.constantFrom(1, 2, 3),
        (text, width, scale) => {
          const fitted = fitText(text, width, scale);
          expect(textWidth(fitted, scale)).toBeLessThanOrEqual(width);
          if (textWidth(text, scale) <= width) expect(fitted).toBe(text);
          else if (fitted !== '') expect(fitted.endsWith(ELLIPSIS)).toBe(true);
        },
      ),
    );
  });
});
