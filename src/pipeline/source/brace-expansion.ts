import { ImagemillError } from '../../contract/errors.ts';

/** Names that one brace notation may stand for. */
const MAX_NAMES = 1_000_000;

/** Whether a name uses brace notation. */
export function hasBraces(name: string): boolean {
  return /\{[^{}]*\}/.test(name);
}

/**
 * Expands brace notation in order, the last group fastest: `{000..012}` keeps its zeros, `{a,b}` is a list.
 * @throws ImagemillError URI_INVALID where a group is neither, or there are more than a million names
 */
export function* expandBraces(name: string): Generator<string> {
  const parts = name.split(/\{([^{}]*)\}/);
  const groups = parts.map((part, index) => (index % 2 === 0 ? listGroup([part]) : readGroup(part, name)));
  const total = groups.reduce((product, group) => product * group.count, 1);
  if (total > MAX_NAMES) {
    throw new ImagemillError('URI_INVALID', `${name}: expected at most ${MAX_NAMES} names, got ${total}`);
  }
  for (let index = 0; index < total; index += 1) {
    let rest = index;
    const chosen = [...groups].reverse().map((group) => {
      const choice = group.at(rest % group.count);
      rest = Math.floor(rest / group.count);
      return choice;
    });
    yield chosen.reverse().join('');
  }
}

/** Names are made one by one: a few ranges of a million, which are too many together, would fill the memory. */
interface Group {
  readonly count: number;
  at(index: number): string;
}

function listGroup(names: readonly string[]): Group {
  return { count: names.length, at: (index) => names[index] ?? '' };
}

function readGroup(group: string, name: string): Group {
  const range = /^(\d{1,15})\.\.(\d{1,15})$/.exec(group);
  if (range === null) {
    if (group.includes(',')) return listGroup(group.split(','));
    throw new ImagemillError('URI_INVALID', `${name}: expected {000..012} or {a,b}, got {${group}}`);
  }
  const [, from = '', to = ''] = range;
  const first = Number(from);
  const count = Number(to) - first + 1;
  if (count < 1 || count > MAX_NAMES) {
    throw new ImagemillError(
      'URI_INVALID',
      `${name}: expected a range of 1 to ${MAX_NAMES} numbers, got {${group}}`,
    );
  }
  const isPadded = /^0\d/.test(from) || /^0\d/.test(to);
  const width = isPadded ? Math.max(from.length, to.length) : 0;
  return { count, at: (index) => String(first + index).padStart(width, '0') };
}
