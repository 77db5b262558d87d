import uPlot from './vendor/uplot.js';

/** One line of a chart. */
export interface Line {
  readonly label: string;
  /** Name of the style sheet's variable that holds its colour. */
  readonly colour: string;
  readonly kind: 'steps' | 'epochs';
  readonly scale?: 'share';
}

export interface ChartOptions {
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Of a second axis, at the right. */
  readonly formatShare?: (share: number) => string;
}

const HEIGHT_PX = 190;

/** A line chart in the colours of the page; drawn anew where the scheme or the width changes. */
export class Chart {
  readonly #place: HTMLElement;
  readonly #options: ChartOptions;
  #data: uPlot.AlignedData = [[]];
  #plot: uPlot | null = null;

  constructor(place: HTMLElement, options: ChartOptions) {
    this.#place = place;
    this.#options = options;
    new ResizeObserver(() => this.#fit()).observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** @param columns x, then one per line */
  show(columns: readonly (readonly (number | null)[])[]): void {
    this.#data = columns as unknown as uPlot.AlignedData;
    if (this.#plot === null) this.#draw();
    else this.#plot.setData(this.#data);
  }

  #fit(): void {
    const width = this.#place.clientWidth;
    if (this.#plot !== null && width > 0 && this.#plot.width !== width) {
      this.#plot.setSize({ width, height: HEIGHT_PX });
    }
  }

  #draw(): void {
    this.#plot?.destroy();
    const { lines, format, formatShare } = this.#options;
    const style = getComputedStyle(this.#place);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour('--ink-soft'), grid: { stroke: colour('--line'), width: 1 } };
    const ticks = { stroke: colour('--line'), width: 1 };
    const shareAxis: uPlot.Axis[] =
      formatShare === undefined
        ? []
        : [
            {
              ...axis,
              ticks,
              scale: 'share',
              side: 1,
              size: 58,
              grid: { show: false },
              values: (_plot, values) => values.map(formatShare),
            },
          ];
    this.#plot = new uPlot(
      {
        width: this.#place.clientWidth,
        height: HEIGHT_PX,
        scales: { x: { time: false }, y: { range: fromZero }, share: { range: () => [0, 1] } },
        axes: [
          { ...axis, ticks },
          { ...axis, ticks, size: 60, values: (_plot, values) => values.map(format) },
          ...shareAxis,
        ],
        cursor: { drag: { x: true, y: false } },
        series: [
          { label: 'Epoch', value: (_plot, value) => (value === null ? '–' : value.toFixed(2)) },
          ...lines.map((line) =>
            seriesOf(line, colour(line.colour), line.scale === undefined ? format : (formatShare ?? format)),
          ),
        ],
      },
      this.#data,
      this.#place,
    );
  }
}

function seriesOf(
  { label, kind, scale }: Line,
  stroke: string,
  format: (value: number) => string,
): uPlot.Series {
  const isEpochs = kind === 'epochs';
  return {
    label,
    stroke,
    width: isEpochs ? 2 : 1,
    spanGaps: true,
    points: { show: isEpochs, size: 6, fill: stroke },
    value: (_plot, value) => (value === null ? '–' : format(value)),
    ...(scale === undefined ? {} : { scale }),
  };
}

/** Curves of losses and errors are compared by eye: their foot is zero. */
function fromZero(_plot: uPlot, _lowest: number | null, highest: number | null): [number, number] {
  return [0, highest === null || highest <= 0 ? 1 : highest * 1.05];
}
