import sharp from 'sharp';
import { renderSvg } from '../../../src/pipeline/decode/render-svg.ts';

const WHITE = '#ffffff';

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** Pixels of a drawn chart; colours are `#rrggbb`. */
export interface Drawing {
  readonly width: number;
  readonly height: number;
  at(x: number, y: number): string;
  /** Where exactly this colour is, row by row. */
  find(colour: string): Place[];
  /** Left, top, right and bottom of all pixels that are not white, both ends included. */
  bounds(): Bounds;
}

export interface Bounds {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Draws an SVG as PNG and reads that back. */
export async function draw(svg: string): Promise<Drawing> {
  const png = await renderSvg(svg);
  const { data, info } = await sharp(png).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const valueAt = (index: number): number => data.readUIntBE(index * channels, 3);
  const place = (index: number): Place => ({ x: index % width, y: Math.floor(index / width) });
  return {
    width,
    height,
    at: (x, y) =>
      `#${valueAt(y * width + x)
        .toString(16)
        .padStart(6, '0')}`,
    find: (colour) => {
      const wanted = Number.parseInt(colour.slice(1), 16);
      const found: Place[] = [];
      for (let index = 0; index < width * height; index++) {
        if (valueAt(index) === wanted) found.push(place(index));
      }
      return found;
    },
    bounds: () => {
      const white = Number.parseInt(WHITE.slice(1), 16);
      let box: Bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
      for (let index = 0; index < width * height; index++) {
        if (valueAt(index) !== white) box = enclose(box, place(index));
      }
      return box;
    },
  };
}

/** The box around places, both ends included. */
export function boundsOf(places: readonly Place[]): Bounds {
  return places.reduce(enclose, { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity });
}

function enclose({ left, top, right, bottom }: Bounds, { x, y }: Place): Bounds {
  return {
    left: Math.min(left, x),
    top: Math.min(top, y),
    right: Math.max(right, x),
    bottom: Math.max(bottom, y),
  };
}
