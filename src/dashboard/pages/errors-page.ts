import { ERROR_CATALOGUE, type ErrorScope } from '../../contract/errors.ts';
import { html, type Html } from './markup.ts';

const SCOPES: readonly (readonly [scope: ErrorScope, title: string])[] = [
  ['item', 'One image: a row of the errors, never a failed shard'],
  ['use', 'Wrong use: nothing was enqueued or written'],
  ['service', 'A service: Redis, the object store or a device'],
  ['run', 'A run or a shard'],
];

/** What every code means; the `type` of a problem leads here. */
export function errorsPage(): Html {
  return html`
    <div class="heading"><h1>Errors</h1></div>
    ${SCOPES.map(
      ([scope, title]) =>
        html`<section class="panel" aria-labelledby="scope-${scope}">
          <h2 id="scope-${scope}">${title}</h2>
          <dl class="facts">
            ${Object.entries(ERROR_CATALOGUE)
              .filter(([, entry]) => entry.scope === scope)
              .map(
                ([code, { meaning, retryable }]) =>
                  html`<dt id="${code}"><code>${code}</code></dt>
                    <dd>
                      ${meaning}${retryable && html` <span class="quiet-text">May go by itself.</span>`}
                    </dd>`,
              )}
          </dl>
        </section>`,
    )}
  `;
}
