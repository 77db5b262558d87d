import { utf8Order } from '../../storage/key-order.ts';

/** Compares by code points, as Python does; JavaScript's own order differs beyond U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  const [first, second] = [utf8Order(a), utf8Order(b)];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}
