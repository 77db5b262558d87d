import { capHeight, drawText } from './bitmap-text.ts';
import { COLOURS, rectangle } from './svg.ts';

/** From the faintest share to a whole row: Brewer's "Blues". */
const STOPS = ['#deebf7', '#9ecae1', '#4292c6', '#08519c', '#08306b'].map(parseColour);
const LEVELS = 32;
const EMPTY_COLOUR = '#f5f7f9';
const TICKS = [0, 0.01, 0.1, 0.25, 0.5, 1];
/** Levels that are dark enough for white text. */
const DARK_FROM = 0.6 * LEVELS;

const BAR_WIDTH = 14;
const TICK_GAP = 8;

type Colour = readonly [number, number, number];

/** 0 (nothing) to 32 (the whole row) for a share of 0 to 1, by its square root: rare confusions should show. */
export function heatLevel(share: number): number {
  return Math.ceil(Math.sqrt(Math.min(1, share)) * LEVELS);
}

/** As `#rrggbb`. */
export function heatColour(level: number): string {
  if (level <= 0) return EMPTY_COLOUR;
  const position = ((level - 1) / (LEVELS - 1)) * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(position));
  const part = position - index;
  const mix = (channel: 0 | 1 | 2): string => {
    const from = STOPS[index]?.[channel] ?? 0;
    const to = STOPS[index + 1]?.[channel] ?? 0;
    return Math.round(from + (to - from) * part)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${mix(0)}${mix(1)}${mix(2)}`;
}

/** The colour of text on a cell. */
export function heatTextColour(level: number): string {
  return level >= DARK_FROM ? COLOURS.paper : COLOURS.text;
}

/** A bar of all colours with its shares in per cent, about 80 pixels wide. */
export function drawHeatScale(box: {
  readonly x: number;
  readonly y: number;
  readonly height: number;
}): string {
  const { x, y, height } = box;
  const bands = Array.from({ length: LEVELS }, (_, index) => {
    const top = Math.round(height * (1 - (index + 1) / LEVELS));
    const bottom = Math.round(height * (1 - index / LEVELS));
    return rectangle({
      x,
      y: y + top,
      width: BAR_WIDTH,
      height: bottom - top,
      fill: heatColour(index + 1),
    });
  });
  let free = y + height;
  const ticks = TICKS.map((share) => {
    const middle = y + height * (1 - Math.sqrt(share));
    if (middle > free) return '';
    free = middle - capHeight() - TICK_GAP;
    const place = { x: x + BAR_WIDTH + TICK_GAP, y: middle + capHeight() / 2, colour: COLOURS.muted };
    return drawText(`${100 * share}%`, place);
  });
  return [...bands, ...ticks].join('\n');
}

function parseColour(hex: string): Colour {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 0xff, value & 0xff];
}
