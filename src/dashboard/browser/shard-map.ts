/** The map of a run's shards: a cell for each, and what is known of the one that is chosen. */
import type { ShardFacts, ShardMap } from '../../contract/api/runs.ts';
import { number } from './figures.ts';
import { throttled } from './live.ts';
import { runId, stream } from './run.ts';
import { cellAt, layOutShards, shardAfterKey, stateOfCell, type ShardGrid } from './shard-grid.ts';

const REFRESH_MS = 1_000;
const FACTS_MS = 150;
const HEIGHT_SHARE = 0.45;
const HEIGHT_MIN_PX = 240;

const NAMES: Record<string, { readonly name: string; readonly text: string }> = {
  '=': { name: 'committed', text: 'committed' },
  '!': { name: 'with-errors', text: 'committed, with errors' },
  '>': { name: 'active', text: 'in progress' },
  '.': { name: 'waiting', text: 'waiting' },
  x: { name: 'failed', text: 'failed' },
};

class ShardMapView {
  readonly #map: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #facts: HTMLElement;
  readonly #askForFacts = throttled(FACTS_MS, () => void this.#showFacts());
  #states = '';
  #chosen: number | null = null;
  #grid: ShardGrid = layOutShards(0, 1, 1);

  constructor(map: HTMLElement, canvas: HTMLCanvasElement, facts: HTMLElement) {
    [this.#map, this.#canvas, this.#facts] = [map, canvas, facts];
    map.addEventListener('pointermove', (event) => this.#point(event));
    map.addEventListener('pointerdown', (event) => this.#point(event));
    map.addEventListener('keydown', (event) => this.#press(event));
    new ResizeObserver(() => this.draw()).observe(map);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  async refresh(): Promise<void> {
    const response = await fetch(`/api/v1/runs/${runId}/shards`).catch(() => null);
    if (response === null || !response.ok) return;
    const { cells, planned, planComplete } = (await response.json()) as ShardMap;
    this.#states = cells;
    this.#map.hidden = this.#facts.hidden = cells === '';
    this.#map.setAttribute('aria-valuemax', String(Math.max(0, cells.length - 1)));
    tellCounts(cells, planned, planComplete);
    this.draw();
    if (this.#chosen !== null) this.#askForFacts();
  }

  draw(): void {
    const widthPx = this.#map.clientWidth;
    if (widthPx === 0 || this.#states === '') return;
    const heightPx = Math.max(HEIGHT_MIN_PX, window.innerHeight * HEIGHT_SHARE);
    this.#grid = layOutShards(this.#states.length, widthPx, heightPx);
    const { columns, rows, sizePx, gapPx, cells } = this.#grid;
    const scale = window.devicePixelRatio;
    const canvas = this.#canvas;
    canvas.width = columns * sizePx * scale;
    canvas.height = rows * sizePx * scale;
    canvas.style.width = `${columns * sizePx}px`;
    canvas.style.height = `${rows * sizePx}px`;
    const context = canvas.getContext('2d');
    if (context === null) return;
    context.scale(scale, scale);
    const colours = coloursOf(canvas);
    for (let cell = 0; cell < cells; cell += 1) {
      context.fillStyle = colours[stateOfCell(this.#grid, this.#states, cell)] ?? '';
      const [x, y] = [(cell % columns) * sizePx, Math.floor(cell / columns) * sizePx];
      context.fillRect(x, y, sizePx - gapPx, sizePx - gapPx);
    }
    this.#frameChosen(context, colours['chosen'] ?? '');
  }

  #frameChosen(context: CanvasRenderingContext2D, colour: string): void {
    if (this.#chosen === null) return;
    const { columns, sizePx, gapPx, shardsPerCell } = this.#grid;
    const cell = Math.floor(this.#chosen / shardsPerCell);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    const [x, y] = [(cell % columns) * sizePx, Math.floor(cell / columns) * sizePx];
    context.strokeRect(x - 1, y - 1, sizePx - gapPx + 2, sizePx - gapPx + 2);
  }

  #point({ clientX, clientY }: PointerEvent): void {
    const { left, top } = this.#canvas.getBoundingClientRect();
    const cell = cellAt(this.#grid, clientX - left, clientY - top);
    if (cell !== null) this.#choose(cell * this.#grid.shardsPerCell);
  }

  #press(event: KeyboardEvent): void {
    const from = this.#chosen ?? -1;
    const shard = shardAfterKey(event.key, from, this.#states.length, this.#grid);
    if (shard === null) return;
    event.preventDefault();
    this.#choose(shard);
  }

  #choose(shard: number): void {
    if (this.#chosen === shard) return;
    this.#chosen = shard;
    const text = `Shard ${number(shard)}: ${NAMES[this.#states[shard] ?? '.']?.text ?? ''}`;
    this.#map.setAttribute('aria-valuenow', String(shard));
    this.#map.setAttribute('aria-valuetext', text);
    this.#facts.textContent = text;
    this.draw();
    this.#askForFacts();
  }

  async #showFacts(): Promise<void> {
    const shard = this.#chosen;
    if (shard === null) return;
    const response = await fetch(`/api/v1/runs/${runId}/shards/${shard}`).catch(() => null);
    if (response === null || !response.ok || this.#chosen !== shard) return;
    const text = factsText((await response.json()) as ShardFacts, this.#states[shard] ?? '.');
    if (this.#facts.textContent !== text) this.#facts.textContent = text;
  }
}

function factsText(facts: ShardFacts, state: string): string {
  const { shard, items, errors, seconds, worker, committedAt } = facts;
  const words = [`Shard ${number(shard)}: ${NAMES[state]?.text ?? facts.state}`];
  if (items !== null) words.push(`${number(items)} ${items === 1 ? 'image' : 'images'}`);
  if (errors !== null) words.push(`${number(errors)} ${errors === 1 ? 'error' : 'errors'}`);
  if (seconds !== null) words.push(`${number(seconds)} s`);
  if (worker !== null) words.push(`by ${worker}`);
  if (committedAt !== null) words.push(`at ${new Date(committedAt).toLocaleTimeString()}`);
  return words.join(', ');
}

function tellCounts(states: string, planned: number, planComplete: boolean): void {
  const counts: Record<string, number> = { '=': 0, '!': 0, '>': 0, '.': 0, x: 0 };
  for (const state of states) counts[state] = (counts[state] ?? 0) + 1;
  for (const [state, count] of Object.entries(counts)) {
    const element = document.querySelector(`[data-count="${NAMES[state]?.name ?? ''}"]`);
    if (element !== null) element.textContent = number(count);
  }
  const committed = (counts['='] ?? 0) + (counts['!'] ?? 0);
  const known = planComplete
    ? number(planned)
    : `${number(planned)} so far: the source is still being listed`;
  const text = document.querySelector('[data-shards-text]');
  if (text !== null) text.textContent = `${number(committed)} committed of ${known}`;
}

function coloursOf(canvas: HTMLCanvasElement): Record<string, string> {
  const style = getComputedStyle(canvas);
  const read = (name: string) => style.getPropertyValue(name).trim();
  const colours: Record<string, string> = { chosen: read('--focus') };
  for (const [state, { name }] of Object.entries(NAMES)) colours[state] = read(`--cell-${name}`);
  return colours;
}

const map = document.querySelector<HTMLElement>('[data-shard-map]');
const canvas = map?.querySelector('canvas') ?? null;
const facts = document.querySelector<HTMLElement>('[data-shard-facts]');
if (map !== null && canvas !== null && facts !== null) {
  const view = new ShardMapView(map, canvas, facts);
  const refresh = throttled(REFRESH_MS, () => void view.refresh());
  stream.on('run', refresh);
  stream.on('committed', refresh);
  stream.on('reset', refresh);
  refresh();
}
