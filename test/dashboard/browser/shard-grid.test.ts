import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cellAt,
  layOutShards,
  shardAfterKey,
  stateOfCell,
} from '../../../src/dashboard/browser/shard-grid.ts';

const shards = fc.integer({ min: 1, max: 200_000 });
const width = fc.integer({ min: 200, max: 2_000 });

describe('the grid of a map of shards', () => {
  it('has a cell for every shard, within the width, and finds each again where it is drawn', () => {
    fc.assert(
      fc.property(shards, width, fc.nat(), (shards, width, at) => {
        const grid = layOutShards(shards, width, 400);
        expect(grid.cells * grid.shardsPerCell).toBeGreaterThanOrEqual(shards);
        expect(grid.columns * grid.sizePx).toBeLessThanOrEqual(width);
        expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(grid.cells);
        expect(grid.sizePx - grid.gapPx).toBeGreaterThanOrEqual(3);
        const cell = at % grid.cells;
        const x = (cell % grid.columns) * grid.sizePx + 1;
        const y = Math.floor(cell / grid.columns) * grid.sizePx + 1;
        expect(cellAt(grid, x, y)).toBe(cell);
      }),
    );
  });

  it('shows ten thousand shards at once, on a desktop and on a phone', () => {
    expect(layOutShards(10_000, 1_180, 400)).toMatchObject({ shardsPerCell: 1, sizePx: 6 });
    const phone = layOutShards(10_000, 340, 400);
    expect(phone).toMatchObject({ shardsPerCell: 1, sizePx: 4 });
    expect(phone.rows * phone.sizePx).toBeLessThan(500);
  });

  it('is empty beside the cells', () => {
    const grid = layOutShards(10, 100, 400);
    expect(grid.columns).toBe(5);
    expect(cellAt(grid, 95, 5)).toBeNull();
    expect(cellAt(grid, -1, 5)).toBeNull();
    expect(cellAt(layOutShards(9, 100, 400), 80, 25)).toBeNull();
  });

  it('shows of several shards in a cell the one that most needs a look', () => {
    const grid = { ...layOutShards(6, 100, 100), shardsPerCell: 3 };
    expect(stateOfCell(grid, '==.=!x', 0)).toBe('.');
    expect(stateOfCell(grid, '==.=!x', 1)).toBe('x');
    expect(stateOfCell(grid, '=====', 1)).toBe('=');
  });

  it('is walked through by arrow keys, and never left', () => {
    const keys = fc.array(
      fc.constantFrom('ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End'),
    );
    fc.assert(
      fc.property(shards, width, keys, (shards, width, keys) => {
        const grid = layOutShards(shards, width, 400);
        let shard = 0;
        for (const key of keys) {
          shard = shardAfterKey(key, shard, shards, grid) ?? -1;
          expect(shard).toBeGreaterThanOrEqual(0);
          expect(shard).toBeLessThan(shards);
        }
      }),
    );
    const grid = layOutShards(100, 100, 400);
    expect(shardAfterKey('ArrowDown', 7, 100, grid)).toBe(12);
    expect(shardAfterKey('End', 7, 100, grid)).toBe(99);
    expect(shardAfterKey('a', 7, 100, grid)).toBeNull();
  });
});
