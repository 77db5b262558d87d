import { html, type Html } from '../markup.ts';

/** Longer names are cut: what a page transfers must not depend on what somebody called a file. */
export const NAME_CHARS_MAX = 120;
export const LOCATION_CHARS_MAX = 400;

/** `a long name` → `a lon…`; whole characters, never half of a pair. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  return `${Array.from(text.slice(0, most)).slice(0, -1).join('')}…`;
}

/** Drops the middle, since a location's ends tell more than its middle. */
export function cutMiddle(text: string, most: number): string {
  if (text.length <= most) return text;
  const half = Math.floor(most / 2);
  return `${Array.from(text.slice(0, half)).slice(0, -1).join('')}…${Array.from(text.slice(-half)).slice(1).join('')}`;
}

/** A name that somebody chose (a class, a file), kept apart from the direction of the text around it. */
export function nameText(name: string): Html {
  return html`<bdi class="name">${cut(name, NAME_CHARS_MAX)}</bdi>`;
}

export function locationText(uri: string): Html {
  return html`<bdi class="location">${cutMiddle(uri, LOCATION_CHARS_MAX)}</bdi>`;
}

/** `sha256:0123456789abcdef…` → `sha256:0123456789ab`; the whole of it where one points. */
export function digestText(digest: string): Html {
  const short = digest.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]+$/, '$1');
  return html`<code title="${cut(digest, LOCATION_CHARS_MAX)}">${cut(short, NAME_CHARS_MAX)}</code>`;
}

/** `1 image`, `2 images`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return count === 1 ? one : many;
}
