import type { Problem } from '../../contract/api/problem.ts';
import { html, type Html } from './markup.ts';

/** What a person sees in place of a page that cannot be shown. */
export function faultPage({ status, title, detail, code }: Problem): Html {
  return html`
    <h1>${title}</h1>
    <p class="fault">${detail}</p>
    <p class="quiet-text">${status} · <code>${code}</code></p>
    <p><a href="/runs">All runs</a></p>
  `;
}
