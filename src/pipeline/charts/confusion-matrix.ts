import { ImagemillError } from '../../contract/errors.ts';
import { capHeight, drawText, fitText, SMALL_SCALE, TEXT_SCALE, textWidth } from './bitmap-text.ts';
import { drawHeatScale, heatColour, heatLevel, heatTextColour } from './heat-scale.ts';
import { COLOURS, hairlines, rectangle, svgDocument } from './svg.ts';
import { niceStep, ticksBetween } from './ticks.ts';

/** Up to so many classes, cells are large enough for a number. */
const MAX_NUMBERED = 20;
/** Side of the matrix in pixels: with more classes than this, neighbours share a pixel. */
const MAX_SIDE = 1000;
const NUMBERED_SIDE = 800;
const MAX_CELL = 84;
/** Smallest cells with a label in ordinary and in small print. */
const MIN_TEXT_CELL = 18;
const MIN_SMALL_TEXT_CELL = 9;
/** Share of its row below which a cell of few pixels is not drawn. */
const FAINTEST_PIXEL = 1 / 500;
const MAX_LABEL_WIDTH = 200;
const MARGIN = 24;
const GAP = 8;
const SCALE_WIDTH = 84;
const MIN_WIDTH = 400;
const MAX_INDEX_STEPS = 5;

interface Layout {
  /** Rows and columns that are drawn. */
  readonly size: number;
  /** Classes per row that is drawn. */
  readonly block: number;
  /** Pixels per row. */
  readonly cell: number;
  readonly left: number;
  readonly top: number;
  readonly labels: AxisLabels;
}

/** What stands along both axes. */
interface AxisLabels {
  readonly scale: number;
  /** At which row or column, from 0. */
  readonly entries: readonly { readonly at: number; readonly text: string }[];
  /** Of the widest, in pixels. */
  readonly width: number;
  /** Whether they fit side by side below the matrix. */
  readonly horizontal: boolean;
}

/**
 * A confusion matrix as a heat map: rows are the truth, columns the prediction, colours the share of the row. Up to
 * 20 classes have counts in the cells, up to about 100 have labels; beyond that a class is a pixel, and beyond 1000
 * several classes share one. Takes some 100 ms of the event loop for 1000 classes.
 * @param counts (classes, classes); row = truth
 * @returns an SVG document of at most about 1400 × 1400 pixels
 * @throws ImagemillError MODEL_LABELS_MISMATCH
 */
export function confusionSvg({
  labels,
  counts,
  title,
}: {
  readonly labels: readonly string[];
  readonly counts: readonly ArrayLike<number>[];
  readonly title: string;
}): string {
  if (labels.length !== counts.length || counts.some((row) => row.length !== labels.length)) {
    throw new ImagemillError(
      'MODEL_LABELS_MISMATCH',
      `expected a square confusion matrix with a label per class, got ${labels.length} labels for ${counts.length} × ${counts[0]?.length ?? 0} counts`,
    );
  }
  const layout = layOut(labels);
  const { left, top, size, cell } = layout;
  const side = size * cell;
  const rows = gather(counts, layout);
  const below = layout.labels.horizontal ? capHeight(layout.labels.scale) : layout.labels.width;
  const width = Math.max(MIN_WIDTH, left + side + 2 * GAP + SCALE_WIDTH + MARGIN);
  const height = top + side + GAP + below + 2 * GAP + capHeight() + MARGIN;
  return svgDocument(width, height, [
    drawText(fitText(title, width - 2 * MARGIN), {
      x: MARGIN,
      y: MARGIN + capHeight(),
      colour: COLOURS.text,
    }),
    rectangle({ x: left, y: top, width: side, height: side, fill: heatColour(0) }),
    drawCells(rows, layout),
    cell >= MIN_SMALL_TEXT_CELL ? '' : drawFrame(left, top, side),
    size <= MAX_NUMBERED ? drawCounts(rows, layout) : '',
    drawLabels(layout),
    drawText('truth', {
      x: MARGIN + capHeight(),
      y: top + side / 2,
      colour: COLOURS.muted,
      anchor: 'middle',
      upwards: true,
    }),
    drawText('predicted', {
      x: left + side / 2,
      y: height - MARGIN,
      colour: COLOURS.muted,
      anchor: 'middle',
    }),
    drawHeatScale({ x: left + side + 2 * GAP, y: top, height: side }),
  ]);
}

function layOut(classLabels: readonly string[]): Layout {
  const classes = classLabels.length;
  const block = Math.ceil(classes / MAX_SIDE);
  const size = Math.ceil(classes / Math.max(1, block));
  const side = size <= MAX_NUMBERED ? NUMBERED_SIDE : MAX_SIDE;
  const cell = Math.min(MAX_CELL, Math.floor(side / Math.max(1, size)));
  const labels = axisLabels(classLabels, block, cell);
  return {
    size,
    block,
    cell,
    left: MARGIN + capHeight() + 2 * GAP + labels.width + GAP,
    top: MARGIN + capHeight() + 2 * GAP,
    labels,
  };
}

function axisLabels(classLabels: readonly string[], block: number, cell: number): AxisLabels {
  const named = cell >= MIN_SMALL_TEXT_CELL;
  const scale = named && cell < MIN_TEXT_CELL ? SMALL_SCALE : TEXT_SCALE;
  const last = classLabels.length - 1;
  const entries = named
    ? classLabels.map((label, at) => ({ at, text: fitText(label, MAX_LABEL_WIDTH, scale) }))
    : ticksBetween(0, last, Math.max(1, niceStep(last, MAX_INDEX_STEPS))).map((tick) => ({
        at: Math.floor(tick / block),
        text: String(tick),
      }));
  const width = entries.reduce((widest, { text }) => Math.max(widest, textWidth(text, scale)), 0);
  return { scale, entries, width, horizontal: !named || width <= cell - GAP };
}

/** A row of the matrix as it is drawn. */
interface HeatRow {
  readonly counts: Float64Array;
  readonly total: number;
}

function gather(counts: readonly ArrayLike<number>[], { size, block }: Layout): HeatRow[] {
  return Array.from({ length: size }, (_, row) => {
    const gathered = new Float64Array(size);
    let total = 0;
    for (const truth of counts.slice(row * block, (row + 1) * block)) {
      for (let predicted = 0; predicted < truth.length; predicted++) {
        const count = truth[predicted] ?? 0;
        if (count === 0) continue;
        const column = Math.floor(predicted / block);
        gathered[column] = (gathered[column] ?? 0) + count;
        total += count;
      }
    }
    return { counts: gathered, total };
  });
}

/**
 * One path of horizontal strokes per colour, about ten bytes per cell and only for cells that are not empty; where
 * cells are pixels, only for shares that can be seen, which are at most 500 to a row.
 */
function drawCells(rows: readonly HeatRow[], { left, top, size, cell }: Layout): string {
  const named = cell >= MIN_SMALL_TEXT_CELL;
  const filled = named ? cell - 1 : cell;
  const paths = new Map<number, string[]>();
  rows.forEach(({ counts, total }, row) => {
    for (let column = 0; column < size; column++) {
      const count = counts[column] ?? 0;
      if (count === 0 || (!named && count < total * FAINTEST_PIXEL)) continue;
      const level = heatLevel(count / total);
      const path = paths.get(level) ?? [];
      path.push(`M${column * cell} ${row * cell}h${filled}`);
      paths.set(level, path);
    }
  });
  const strokes = Array.from(
    paths,
    ([level, path]) => `<path stroke="${heatColour(level)}" d="${path.join('')}"/>`,
  );
  const place = `transform="translate(${left} ${top + filled / 2})" stroke-width="${filled}"`;
  return `<g fill="none" shape-rendering="crispEdges" ${place}>${strokes.join('\n')}</g>`;
}

function drawFrame(left: number, top: number, side: number): string {
  return hairlines(
    [
      { x: left - 1, y: top - 1, toX: left + side + 1 },
      { x: left - 1, y: top + side, toX: left + side + 1 },
      { x: left - 1, y: top - 1, toY: top + side + 1 },
      { x: left + side, y: top - 1, toY: top + side + 1 },
    ],
    COLOURS.axis,
  );
}

function drawCounts(rows: readonly HeatRow[], { left, top, size, cell }: Layout): string {
  const texts: string[] = [];
  rows.forEach(({ counts, total }, row) => {
    for (let column = 0; column < size; column++) {
      const count = counts[column] ?? 0;
      const text = [String(count), abbreviate(count)].find((text) => textWidth(text) <= cell - GAP / 2);
      if (count === 0 || text === undefined) continue;
      texts.push(
        drawText(text, {
          x: left + (column + 0.5) * cell,
          y: top + row * cell + (cell + capHeight()) / 2,
          colour: heatTextColour(heatLevel(count / total)),
          anchor: 'middle',
        }),
      );
    }
  });
  return texts.join('\n');
}

/** 1234 as `1.2k`, 5678901 as `5.7M`: at most four letters up to 999M. */
function abbreviate(count: number): string {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return `${value < 10 && power > 0 ? value.toFixed(1) : Math.floor(value)}${['', 'k', 'M', 'G'][power] ?? ''}`;
}

function drawLabels({ left, top, size, cell, labels }: Layout): string {
  const { scale, horizontal } = labels;
  const height = capHeight(scale);
  const bottom = top + size * cell + GAP;
  return labels.entries
    .flatMap(({ at, text }) => {
      const middle = (at + 0.5) * cell;
      const style = { colour: COLOURS.text, scale };
      return [
        drawText(text, { ...style, x: left - GAP, y: top + middle + height / 2, anchor: 'end' }),
        horizontal
          ? drawText(text, { ...style, x: left + middle, y: bottom + height, anchor: 'middle' })
          : drawText(text, {
              ...style,
              x: left + middle + height / 2,
              y: bottom,
              anchor: 'end',
              upwards: true,
            }),
      ];
    })
    .join('\n');
}
