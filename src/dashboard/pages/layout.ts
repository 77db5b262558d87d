import type { Identity } from '../access/access-policy.ts';
import { html, type Html, type Markup } from './markup.ts';

export interface PageOptions {
  /** Before « · imagemill ». */
  readonly title: string;
  /** Which entry of the navigation it belongs to. */
  readonly section?: Section;
  readonly identity: Identity | null;
  /** Whether one can sign out: there is a session only where there is a token. */
  readonly canSignOut: boolean;
  /** Prefix of scripts and styles. */
  readonly assets: string;
  /** Names of scripts in src/dashboard/browser, without extension. */
  readonly scripts?: readonly string[];
  /** Names of style sheets beside the common one, without extension. */
  readonly styles?: readonly string[];
  readonly body: Markup;
}

const SECTIONS = [
  { id: 'runs', href: '/runs', text: 'Runs' },
  { id: 'workers', href: '/workers', text: 'Workers' },
  { id: 'queues', href: '/queues', text: 'Queues' },
  { id: 'submit', href: '/submit/classify', text: 'Submit' },
] as const;
export type Section = (typeof SECTIONS)[number]['id'];

/** A whole page: the same head, navigation and foot everywhere. */
export function page(options: PageOptions): string {
  const { title, section, identity, assets, scripts = [], styles = [], body } = options;
  const mayOperate = identity?.role === 'operator';
  const sections = SECTIONS.filter(({ id }) => id !== 'submit' || mayOperate);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · imagemill</title>
        <link rel="icon" href="${assets}/icon.svg" type="image/svg+xml" />
        ${['style', ...styles].map((name) => html`<link rel="stylesheet" href="${assets}/${name}.css" />`)}
        ${['page', ...scripts].map(
          (name) => html`<script type="module" src="${assets}/${name}.js"></script>`,
        )}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="bar">
          <a class="brand" href="/runs">imagemill</a>
          ${
            identity !== null &&
            html`<nav aria-label="Sections">
              <ul>
                ${sections.map(
                  ({ id, href, text }) =>
                    html`<li>
                      <a href="${href}" ${id === section && html` aria-current="page"`}>${text}</a>
                    </li>`,
                )}
              </ul>
            </nav>`
          }
          <div class="who">
            <span class="live" data-live hidden>live</span>
            ${identity !== null && html`<span>${identity.name}</span>`}
            ${identity !== null && options.canSignOut && signOut()}
          </div>
        </header>
        <main id="main" tabindex="-1">${body}</main>
      </body>
    </html>`.text;
}

function signOut(): Html {
  return html`<form method="post" action="/logout"><button class="quiet">Sign out</button></form>`;
}
