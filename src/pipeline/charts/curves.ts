import { capHeight, drawText, fitText } from './bitmap-text.ts';
import { drawPanel, type Panel, type Series } from './line-chart.ts';
import { COLOURS, svgDocument } from './svg.ts';

/** Loss and error of one split after one epoch; what is not finite is a gap. */
interface SplitMetrics {
  readonly loss: number;
  /** 0 to 1. */
  readonly top1Error: number;
}

/** What the curves need of an epoch; epoch commits have it. */
export interface EpochPoint {
  /** From 1. */
  readonly epoch: number;
  readonly train: SplitMetrics;
  readonly validation: SplitMetrics | null;
  readonly learningRate: number;
}

const WIDTH = 1200;
const HEIGHT = 480;
const MARGIN = 24;
const PANEL_GAP = 48;
/** Title and the space below it. */
const TITLE_HEIGHT = 44;
/** The learning rate is marked where it falls by this much at once; schedules that glide are not. */
const MARKED_FALL = 5;

/**
 * The curves of a training run side by side: loss by epoch and top-1 error (%) by epoch, each for training and
 * validation. The best epoch is named, and dashed lines mark where the learning rate fell.
 * @param epochs by rising epoch
 * @returns an SVG document of 1200 × 480 pixels
 */
export function curvesSvg({
  epochs,
  title,
}: {
  readonly epochs: readonly EpochPoint[];
  readonly title: string;
}): string {
  const marks = learningRateFalls(epochs);
  const width = (WIDTH - 2 * MARGIN - PANEL_GAP) / 2;
  const panel = (index: number, title: string, metric: (metrics: SplitMetrics) => number): Panel => ({
    x: MARGIN + index * (width + PANEL_GAP),
    y: MARGIN + TITLE_HEIGHT,
    width,
    height: HEIGHT - 2 * MARGIN - TITLE_HEIGHT,
    title,
    xLabel: 'epoch',
    minXStep: 1,
    series: seriesOf(epochs, metric),
    marks,
  });
  return svgDocument(WIDTH, HEIGHT, [
    drawText(fitText(title, WIDTH - 2 * MARGIN), {
      x: MARGIN,
      y: MARGIN + capHeight(),
      colour: COLOURS.text,
    }),
    drawPanel(panel(0, 'Loss', ({ loss }) => loss)),
    drawPanel(panel(1, `Top-1 error (%)${describeBest(epochs)}`, ({ top1Error }) => 100 * top1Error)),
  ]);
}

function seriesOf(epochs: readonly EpochPoint[], metric: (metrics: SplitMetrics) => number): Series[] {
  return [
    {
      name: 'train',
      colour: COLOURS.train,
      points: epochs.map(({ epoch, train }) => ({ x: epoch, y: metric(train) })),
    },
    {
      name: 'validation',
      colour: COLOURS.validation,
      points: epochs.map(({ epoch, validation }) => ({
        x: epoch,
        y: validation === null ? null : metric(validation),
      })),
    },
  ];
}

function describeBest(epochs: readonly EpochPoint[]): string {
  const errors = epochs.flatMap(({ epoch, validation }) =>
    validation !== null && Number.isFinite(validation.top1Error)
      ? [{ epoch, error: validation.top1Error }]
      : [],
  );
  if (errors.length === 0) return '';
  const best = errors.reduce((best, candidate) => (candidate.error < best.error ? candidate : best));
  return `: best ${(100 * best.error).toFixed(2)} in epoch ${best.epoch}`;
}

function learningRateFalls(epochs: readonly EpochPoint[]): { x: number; label: string }[] {
  return epochs.flatMap(({ epoch, learningRate }, index) => {
    const before = epochs[index - 1]?.learningRate ?? 0;
    const fell = learningRate > 0 && before >= learningRate * MARKED_FALL;
    return fell ? [{ x: epoch, label: `lr ${Number(learningRate.toPrecision(2))}` }] : [];
  });
}
