import { html, type Html } from '../markup.ts';

/** Share of a whole, 0 to 1, as a percentage for an attribute: `12.3%`. */
function width(share: number): string {
  const bounded = Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0;
  return `${Math.round(bounded * 1_000) / 10}%`;
}

/** A bar beside a figure that says the same: it needs no words of its own. */
export function shareBar(share: number, kind = ''): Html {
  return html`<svg class="share-bar ${kind}" aria-hidden="true">
    <rect width="${width(share)}" height="100%" />
  </svg>`;
}

/** Parts of a whole side by side, in the order given; the text beside it says the same. */
export function stackedBar(parts: readonly { readonly name: string; readonly share: number }[]): Html {
  let start = 0;
  const rects = parts.map(({ name, share }) => {
    const rect = html`<rect
      class="part-${name}"
      x="${width(start)}"
      width="${width(share)}"
      height="100%"
    />`;
    start += share;
    return rect;
  });
  return html`<svg class="stacked-bar" aria-hidden="true">${rects}</svg>`;
}

const COLUMN_HEIGHT = 100;
const COLUMN_GAP = 0.12;

/**
 * Columns of a distribution; a table has to say the same.
 * @param values any scale; the largest one fills the height
 * @param label what it shows, for who cannot see it
 */
export function columnChart(values: readonly number[], label: string): Html {
  const largest = Math.max(...values, 0);
  const columns = values.map((value, index) => {
    const height = largest === 0 || value === 0 ? 0 : Math.max(1, (value / largest) * COLUMN_HEIGHT);
    const rounded = Math.round(height * 100) / 100;
    return html`<rect
      x="${index + COLUMN_GAP / 2}"
      y="${COLUMN_HEIGHT - rounded}"
      width="${1 - COLUMN_GAP}"
      height="${rounded}"
    />`;
  });
  return html`<svg
    class="columns"
    viewBox="0 0 ${values.length} ${COLUMN_HEIGHT}"
    preserveAspectRatio="none"
    role="img"
    aria-label="${label}"
  >
    ${columns}
  </svg>`;
}
