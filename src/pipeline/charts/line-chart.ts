import { capHeight, drawText, fitText, textWidth } from './bitmap-text.ts';
import { COLOURS, coordinate, hairlines } from './svg.ts';
import { formatTicks, niceStep, ticksBetween } from './ticks.ts';

export interface Point {
  readonly x: number;
  /** null, or anything that no float32 can be, is a gap in the line. */
  readonly y: number | null;
}

export interface Series {
  readonly name: string;
  readonly colour: string;
  /** By rising x. */
  readonly points: readonly Point[];
}

export interface Panel {
  /** The whole panel, titles and axis labels included, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** Smallest distance between the ticks of the x axis: 1 where x counts something. */
  readonly minXStep?: number;
  /** Dashed vertical lines, each with what happened there. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

/** Longer series are a line only, with circles for points that stand alone. */
const MAX_MARKED_POINTS = 31;
/** Of float32; further out, the arithmetic of the axes would overflow. */
const MAX_VALUE = 3.5e38;
const MAX_X_STEPS = 9;
const MAX_Y_STEPS = 6;
/** Above the plot: title and legend. */
const HEADER = 62;
/** Below the plot: ticks and axis label. */
const FOOTER = 52;
const GAP = 8;
const LEGEND_LINE = 22;

interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  readonly labels: readonly string[];
}

interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly toX: (value: number) => number;
  readonly toY: (value: number) => number;
}

/** One line chart: title, legend, grid, axes and lines, as SVG elements. The y axis starts at 0 unless y is negative. */
export function drawPanel(panel: Panel): string {
  const drawn = panel.series.map(withoutGaps).filter(({ segments }) => segments.length > 0);
  const points = drawn.flatMap(({ segments }) => segments.flat());
  const xAxis = horizontalAxis(panel.series, panel.minXStep ?? 0);
  const yAxis = verticalAxis(points.map(({ y }) => y));
  const plot = placePlot(panel, xAxis, yAxis);
  return [
    drawText(fitText(panel.title, panel.width), {
      x: panel.x,
      y: panel.y + capHeight(),
      colour: COLOURS.text,
    }),
    drawLegend(drawn, panel),
    drawAxes(panel, plot, xAxis, yAxis),
    drawMarks(panel.marks ?? [], plot),
    ...drawn.map((series) => drawSeries(series, plot)),
    drawn.length === 0
      ? drawText('no data', {
          x: (plot.left + plot.right) / 2,
          y: (plot.top + plot.bottom) / 2,
          colour: COLOURS.muted,
          anchor: 'middle',
        })
      : '',
  ].join('\n');
}

interface FinitePoint {
  readonly x: number;
  readonly y: number;
}

interface DrawnSeries {
  readonly name: string;
  readonly colour: string;
  readonly marked: boolean;
  readonly segments: readonly FinitePoint[][];
}

function withoutGaps({ name, colour, points }: Series): DrawnSeries {
  const segments: FinitePoint[][] = [];
  let open: FinitePoint[] | undefined;
  for (const { x, y } of points) {
    if (y === null || !(Math.abs(y) <= MAX_VALUE)) {
      open = undefined;
    } else if (open === undefined) {
      open = [{ x, y }];
      segments.push(open);
    } else {
      open.push({ x, y });
    }
  }
  return { name, colour, marked: points.length <= MAX_MARKED_POINTS, segments };
}

function horizontalAxis(series: readonly Series[], minStep: number): Axis {
  let [low, high] = [Infinity, -Infinity];
  for (const { x } of series.flatMap(({ points }) => points)) {
    low = Math.min(low, x);
    high = Math.max(high, x);
  }
  if (low > high) [low, high] = [0, 1];
  // One point stands in the middle.
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const step = Math.max(minStep, niceStep(high - low, MAX_X_STEPS));
  const ticks = ticksBetween(low, high, step);
  return { low, high, ticks, labels: formatTicks(ticks, step) };
}

function verticalAxis(values: readonly number[]): Axis {
  const lowest = values.reduce((low, value) => Math.min(low, value), 0);
  const highest = values.reduce((high, value) => Math.max(high, value), 0);
  const step = lowest === highest ? 0.2 : niceStep(highest - lowest, MAX_Y_STEPS);
  const low = Math.floor(lowest / step + 1e-9) * step;
  const high = lowest === highest ? 1 : Math.max(low + step, Math.ceil(highest / step - 1e-9) * step);
  const ticks = ticksBetween(low, high, step);
  return { low, high, ticks, labels: formatTicks(ticks, step) };
}

function placePlot(panel: Panel, xAxis: Axis, yAxis: Axis): Plot {
  const labelWidth = Math.max(...yAxis.labels.map((label) => textWidth(label)));
  const left = panel.x + labelWidth + GAP;
  const lastLabelWidth = textWidth(xAxis.labels.at(-1) ?? '');
  const right = panel.x + panel.width - Math.max(GAP, Math.ceil(lastLabelWidth / 2));
  const top = panel.y + HEADER;
  const bottom = panel.y + panel.height - FOOTER;
  return {
    left,
    right,
    top,
    bottom,
    toX: (value) => left + ((value - xAxis.low) / (xAxis.high - xAxis.low)) * (right - left),
    toY: (value) => bottom - ((value - yAxis.low) / (yAxis.high - yAxis.low)) * (bottom - top),
  };
}

function drawAxes(panel: Panel, plot: Plot, xAxis: Axis, yAxis: Axis): string {
  const { left, right, top, bottom } = plot;
  const baseline = bottom + GAP + capHeight();
  const rows = yAxis.ticks.map((tick) => Math.round(plot.toY(tick)));
  const columns = xAxis.ticks.map((tick) => Math.round(plot.toX(tick)));
  return [
    hairlines(
      rows.map((y) => ({ x: left, y, toX: right })),
      COLOURS.grid,
    ),
    hairlines(
      columns.map((x) => ({ x, y: bottom, toY: bottom + GAP / 2 })),
      COLOURS.axis,
    ),
    hairlines([{ x: left, y: Math.round(plot.toY(Math.max(0, yAxis.low))), toX: right }], COLOURS.axis),
    hairlines([{ x: left, y: top, toY: bottom }], COLOURS.axis),
    ...rows.map((y, index) =>
      drawText(yAxis.labels[index] ?? '', {
        x: left - GAP,
        y: y + capHeight() / 2,
        colour: COLOURS.muted,
        anchor: 'end',
      }),
    ),
    ...columns.map((x, index) =>
      drawText(xAxis.labels[index] ?? '', { x, y: baseline, colour: COLOURS.muted, anchor: 'middle' }),
    ),
    drawText(panel.xLabel, {
      x: (left + right) / 2,
      y: panel.y + panel.height - GAP / 2,
      colour: COLOURS.muted,
      anchor: 'middle',
    }),
  ].join('\n');
}

function drawLegend(series: readonly DrawnSeries[], panel: Panel): string {
  const baseline = panel.y + 2 * capHeight() + GAP + 2;
  let { x } = panel;
  return series
    .map(({ name, colour }) => {
      const from = x;
      const label = fitText(name, Math.max(0, panel.x + panel.width - from - LEGEND_LINE - GAP));
      x += LEGEND_LINE + GAP + textWidth(label) + 3 * GAP;
      const y = baseline - capHeight() / 2;
      return [
        `<path fill="none" stroke="${colour}" stroke-width="3" d="M${from} ${y}h${LEGEND_LINE}"/>`,
        drawText(label, { x: from + LEGEND_LINE + GAP, y: baseline, colour: COLOURS.muted }),
      ].join('');
    })
    .join('\n');
}

function drawMarks(marks: NonNullable<Panel['marks']>, plot: Plot): string {
  let free = plot.left;
  return marks
    .map(({ x, label }) => {
      const left = Math.round(plot.toX(x));
      const line = hairlines([{ x: left, y: plot.top, toY: plot.bottom }], COLOURS.axis, '3 4');
      const from = left + GAP;
      // A label that would run into the one before it, or out of the plot, is left out.
      if (from < free || from + textWidth(label) > plot.right) return line;
      free = from + textWidth(label) + GAP;
      return line + drawText(label, { x: from, y: plot.top + GAP + capHeight(), colour: COLOURS.muted });
    })
    .join('\n');
}

function drawSeries({ colour, marked, segments }: DrawnSeries, plot: Plot): string {
  const at = ({ x, y }: FinitePoint): string => `${coordinate(plot.toX(x))} ${coordinate(plot.toY(y))}`;
  const lines = segments.filter((segment) => segment.length > 1);
  const path = lines.map((segment) => `M${segment.map(at).join('L')}`).join('');
  const circles = segments.filter((segment) => marked || segment.length === 1).flat();
  return [
    `<path fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round" d="${path}"/>`,
    ...circles.map(
      ({ x, y }) =>
        `<circle cx="${coordinate(plot.toX(x))}" cy="${coordinate(plot.toY(y))}" r="3.5" fill="${colour}"/>`,
    ),
  ].join('');
}
