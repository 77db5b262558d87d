/** Where the cells of a map of shards lie; without a document, so that it can be tested anywhere. */

const SIZE_MAX_PX = 18;
const SIZE_MIN_PX = 4;
/** Beyond, a cell stands for several shards, and shows the one that most needs a look. */
const CELLS_MAX = 40_000;
/** Smaller cells have less to spare for the gap between them. */
const WIDE_GAP_SIZE_PX = 10;

export interface ShardGrid {
  readonly cells: number;
  readonly shardsPerCell: number;
  readonly columns: number;
  readonly rows: number;
  /** Side of a cell with its gap. */
  readonly sizePx: number;
  readonly gapPx: number;
}

/**
 * The largest cells with which all shards fit; where even the smallest do not, the map becomes higher.
 * @param heightPx that it should not exceed
 */
export function layOutShards(shards: number, widthPx: number, heightPx: number): ShardGrid {
  const shardsPerCell = Math.max(1, Math.ceil(shards / CELLS_MAX));
  const cells = Math.ceil(shards / shardsPerCell);
  let sizePx = SIZE_MAX_PX;
  while (sizePx > SIZE_MIN_PX && rowsOf(cells, widthPx, sizePx) * sizePx > heightPx) sizePx -= 1;
  const columns = columnsOf(widthPx, sizePx);
  return {
    cells,
    shardsPerCell,
    columns,
    rows: Math.ceil(cells / columns),
    sizePx,
    gapPx: sizePx >= WIDE_GAP_SIZE_PX ? 2 : 1,
  };
}

function columnsOf(widthPx: number, sizePx: number): number {
  return Math.max(1, Math.floor(widthPx / sizePx));
}

function rowsOf(cells: number, widthPx: number, sizePx: number): number {
  return Math.ceil(cells / columnsOf(widthPx, sizePx));
}

/** The cell at a place of the map; null beside all of them. */
export function cellAt({ columns, rows, sizePx, cells }: ShardGrid, xPx: number, yPx: number): number | null {
  const [column, row] = [Math.floor(xPx / sizePx), Math.floor(yPx / sizePx)];
  const cell = row * columns + column;
  return column < 0 || column >= columns || row < 0 || row >= rows || cell >= cells ? null : cell;
}

/** What most needs a look comes first. */
const URGENCY = ['x', '!', '>', '.', '='];

/** The state that a cell shows: of its shards, that of the one that most needs a look. */
export function stateOfCell({ shardsPerCell }: ShardGrid, states: string, cell: number): string {
  const start = cell * shardsPerCell;
  let shown = states[start] ?? '.';
  for (let shard = start + 1; shard < Math.min(states.length, start + shardsPerCell); shard += 1) {
    const state = states[shard] ?? '.';
    if (URGENCY.indexOf(state) < URGENCY.indexOf(shown)) shown = state;
  }
  return shown;
}

/** How a key moves the choice; null for a key that does not. */
export function shardAfterKey(
  key: string,
  shard: number,
  shards: number,
  { columns, shardsPerCell }: ShardGrid,
): number | null {
  const row = columns * shardsPerCell;
  const steps: Record<string, number> = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: row,
    ArrowUp: -row,
    PageDown: row * 10,
    PageUp: -row * 10,
    Home: -shards,
    End: shards,
  };
  const step = steps[key];
  return step === undefined ? null : Math.min(shards - 1, Math.max(0, shard + step));
}
