/**
 * A string whose code units are the UTF-8 bytes of `text`, so that `<` compares byte by byte.
 * JavaScript's own order of strings differs from it beyond U+FFFF, where surrogates sort before U+E000.
 */
export function utf8Order(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

/** The inverse of {@link utf8Order}; bytes that are not UTF-8 become U+FFFD. */
export function fromUtf8Order(order: string): string {
  return Buffer.byteLength(order) === order.length ? order : Buffer.from(order, 'latin1').toString('utf8');
}
