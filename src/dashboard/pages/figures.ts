import { html, type Html } from './markup.ts';

// What scripts write anew while one looks reads the same.
export { duration, nowText, number, percent } from '../browser/figures.ts';

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** `1536` → `1.5 KB`. */
export function byteSize(bytes: number | null): string {
  if (bytes === null) return '–';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${grouped.format(value)} ${units[unit]}`;
}

/** A time that the script makes local, and that reads well without it. */
export function time(iso: string | null): Html {
  if (iso === null) return html`–`;
  return html`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
}

/** The last part of a location, for where all of it does not fit. */
export function shortLocation(uri: string): string {
  const parts = uri.replace(/\/$/, '').split('/');
  return parts.at(-1) === '' || parts.length < 2 ? uri : `…/${parts.slice(-2).join('/')}`;
}
