/** Colours of the charts. */
export const COLOURS = {
  paper: '#ffffff',
  text: '#222b36',
  muted: '#66717d',
  grid: '#e6e9ed',
  axis: '#9aa4af',
  train: '#2f6db3',
  validation: '#d9722b',
} as const;

/** A whole SVG document, in pixels, on white. */
export function svgDocument(width: number, height: number, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    rectangle({ x: 0, y: 0, width, height, fill: COLOURS.paper }),
    ...body,
    '</svg>',
  ].join('\n');
}

export function rectangle(box: {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
}): string {
  return `<rect x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}" fill="${box.fill}"/>`;
}

/** Lines one pixel wide, each through the middle of its pixels so that they stay sharp. */
export function hairlines(segments: readonly HairLine[], colour: string, dashes?: string): string {
  const path = segments.map((line) =>
    'toX' in line ? `M${line.x} ${line.y + 0.5}H${line.toX}` : `M${line.x + 0.5} ${line.y}V${line.toY}`,
  );
  const dashed = dashes === undefined ? '' : ` stroke-dasharray="${dashes}"`;
  return `<path fill="none" stroke="${colour}"${dashed} d="${path.join('')}"/>`;
}

export type HairLine =
  | { readonly x: number; readonly y: number; readonly toX: number }
  | { readonly x: number; readonly y: number; readonly toY: number };

/** A coordinate with the digits that can be seen. */
export function coordinate(value: number): number {
  return Math.round(value * 100) / 100;
}
