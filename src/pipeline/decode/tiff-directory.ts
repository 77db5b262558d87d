/** Where the values of one tag lie. */
export interface DirectoryEntry {
  /** TIFF 6.0 field type; only unsigned integers (SHORT 3, LONG 4, LONG8 16) can be read as numbers. */
  readonly type: number;
  readonly count: number;
  /** Of the first value, in bytes from the start of the file. */
  readonly position: number;
}

/** First image file directory of a TIFF, BigTIFF or EXIF block. */
export interface TiffDirectory {
  readonly view: DataView;
  readonly littleEndian: boolean;
  readonly entries: ReadonlyMap<number, DirectoryEntry>;
}

const BYTES_OF_TYPE: Record<number, number> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 16: 8 };
const BIG_TIFF = 43;
/** What the classic form can count. */
const MAX_ENTRIES = 65_535;

/** How directories are written: classic, or BigTIFF. */
interface Layout {
  readonly littleEndian: boolean;
  readonly big: boolean;
  readonly countBytes: number;
  readonly entryBytes: number;
  readonly inlineBytes: number;
  /** Of the first directory. */
  readonly start: number;
}

/** @returns undefined where the bytes end within the header */
function readLayout(view: DataView): Layout | undefined {
  if (view.byteLength < 8) return undefined;
  const littleEndian = view.getUint16(0) === 0x4949;
  const big = view.getUint16(2, littleEndian) === BIG_TIFF;
  if (big && view.byteLength < 16) return undefined;
  const start = big ? Number(view.getBigUint64(8, littleEndian)) : view.getUint32(4, littleEndian);
  const [countBytes, entryBytes, inlineBytes] = big ? [8, 20, 8] : [2, 12, 4];
  return { littleEndian, big, countBytes, entryBytes, inlineBytes, start };
}

/** Entries of a directory; undefined where it does not lie within the bytes. */
function countEntries(view: DataView, layout: Layout, start: number): number | undefined {
  const { littleEndian, big, countBytes, entryBytes } = layout;
  if (start + countBytes > view.byteLength) return undefined;
  const count = big ? Number(view.getBigUint64(start, littleEndian)) : view.getUint16(start, littleEndian);
  return start + countBytes + count * entryBytes > view.byteLength ? undefined : count;
}

/**
 * Reads the first directory.
 * @returns undefined where it does not lie within `bytes`
 */
export function readFirstDirectory(bytes: Uint8Array): TiffDirectory | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layout = readLayout(view);
  const count = layout && countEntries(view, layout, layout.start);
  if (layout === undefined || count === undefined) return undefined;
  const { littleEndian, big, start, countBytes, entryBytes, inlineBytes } = layout;

  const entries = new Map<number, DirectoryEntry>();
  for (let index = 0; index < Math.min(count, MAX_ENTRIES); index++) {
    const at = start + countBytes + index * entryBytes;
    const type = view.getUint16(at + 2, littleEndian);
    const values = big
      ? Number(view.getBigUint64(at + 4, littleEndian))
      : view.getUint32(at + 4, littleEndian);
    const field = at + entryBytes - inlineBytes;
    const inline = (BYTES_OF_TYPE[type] ?? 1) * values <= inlineBytes;
    const offset = big ? Number(view.getBigUint64(field, littleEndian)) : view.getUint32(field, littleEndian);
    entries.set(view.getUint16(at, littleEndian), { type, count: values, position: inline ? field : offset });
  }
  return { view, littleEndian, entries };
}

/**
 * Directories in the chain that begins with the first one, each counted once; one more than `most` where there are more
 * than that. A chain that leaves the file ends there.
 */
export function countDirectories(bytes: Uint8Array, most: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const layout = readLayout(view);
  if (layout === undefined) return 0;
  const { littleEndian, big, countBytes, entryBytes, inlineBytes } = layout;
  const seen = new Set<number>();
  for (let start = layout.start; start !== 0 && !seen.has(start) && seen.size <= most;) {
    const count = countEntries(view, layout, start);
    if (count === undefined) break;
    seen.add(start);
    const next = start + countBytes + count * entryBytes;
    if (next + inlineBytes > view.byteLength) break;
    start = big ? Number(view.getBigUint64(next, littleEndian)) : view.getUint32(next, littleEndian);
  }
  return seen.size;
}

/** Where a tag's values end, in bytes from the start of the file. */
export function endOfValues({ type, count, position }: DirectoryEntry): number {
  return position + (BYTES_OF_TYPE[type] ?? 1) * count;
}

/**
 * One value of a tag as a number.
 * @returns undefined where the value lies outside the file or is no unsigned integer
 */
export function readValue(
  directory: TiffDirectory,
  entry: DirectoryEntry,
  index: number,
): number | undefined {
  const { view, littleEndian } = directory;
  const bytes = BYTES_OF_TYPE[entry.type] ?? 1;
  const at = entry.position + index * bytes;
  if (index >= entry.count || at + bytes > view.byteLength) return undefined;
  if (entry.type === 3) return view.getUint16(at, littleEndian);
  if (entry.type === 4) return view.getUint32(at, littleEndian);
  if (entry.type === 16) return Number(view.getBigUint64(at, littleEndian));
  return undefined;
}
