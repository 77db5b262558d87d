import { printable } from '../../telemetry/printable.ts';

/** HTML that is safe to send: made by {@link html} alone, which escapes every value that is not HTML already. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

export type Markup = Html | string | number | null | undefined | false | readonly Markup[];

const ESCAPES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}

/**
 * A tagged template: values are escaped, HTML and lists of HTML are taken as they are, null, undefined and false vanish.
 * Attributes have to be in double quotes.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Markup[]): Html {
  const parts = withoutIndentation(strings);
  let text = parts[0] ?? '';
  for (const [place, value] of values.entries()) text += render(value) + (parts[place + 1] ?? '');
  return new Html(text);
}

const lean = new WeakMap<TemplateStringsArray, readonly string[]>();

/** How a template is laid out in its file is half of what a long table would weigh. */
function withoutIndentation(strings: TemplateStringsArray): readonly string[] {
  let parts = lean.get(strings);
  if (parts === undefined) {
    parts = strings.map((part) => part.replace(/\s*\n\s*/g, '\n'));
    lean.set(strings, parts);
  }
  return parts;
}

function render(value: Markup): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map(render).join('');
  return escapeHtml(String(value));
}

/** Data for a script, in an attribute: `data-run="${json(run)}"`. */
export function json(value: unknown): string {
  return JSON.stringify(value);
}
