import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { configureLibvips } from '../../../src/pipeline/decode/libvips.ts';
import { renderSvg } from '../../../src/pipeline/decode/render-svg.ts';

function svg(width: number, height: number, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${body}</svg>`;
}

const RED = svg(40, 20, '<rect width="20" height="20" fill="#cc1020"/>');

async function pixels(
  png: Uint8Array,
): Promise<{ width: number; height: number; channels: number; rgb: Buffer }> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels, rgb: data };
}

describe('renderSvg', () => {
  it('draws a PNG of the size of the document, on white', async () => {
    const png = await renderSvg(RED);
    expect(Buffer.from(png.subarray(0, 4)).toString('latin1')).toBe('\x89PNG');
    const { width, height, channels, rgb } = await pixels(png);
    expect({ width, height, channels }).toEqual({ width: 40, height: 20, channels: 3 });
    expect([...rgb.subarray(0, 3)]).toEqual([0xcc, 0x10, 0x20]);
    expect([...rgb.subarray(39 * 3, 40 * 3)]).toEqual([255, 255, 255]);
  });

  it('draws in a process that decodes images, and leaves SVG shut out of its decoder', async () => {
    configureLibvips();
    await expect(sharp(Buffer.from(RED)).png().toBuffer()).rejects.toThrow(/unsupported image format/);
    expect((await pixels(await renderSvg(RED))).width).toBe(40);
    await expect(sharp(Buffer.from(RED)).png().toBuffer()).rejects.toThrow(/unsupported image format/);
  });

  it('draws several at a time', async () => {
    const widths = [10, 20, 30, 40, 50, 60, 70, 80];
    const drawn = await Promise.all(
      widths.map(async (width) => pixels(await renderSvg(svg(width, 10, '<rect width="5" height="5"/>')))),
    );
    expect(drawn.map(({ width }) => width)).toEqual(widths);
    await expect(sharp(Buffer.from(RED)).png().toBuffer()).rejects.toThrow(/unsupported image format/);
  });

  it.each(['', 'not an image', '<svg xmlns="http://www.w3.org/2000/svg"><rect'])(
    'says what it cannot draw: %j',
    async (text) => {
      await expect(renderSvg(text)).rejects.toMatchObject({
        code: 'INTERNAL',
        message: expect.stringMatching(
          /^expected an SVG document that can be drawn, got \d+ bytes/,
        ) as string,
      });
      await expect(sharp(Buffer.from(RED)).png().toBuffer()).rejects.toThrow(/unsupported image format/);
    },
  );
});
