// `npm run docs`: writes the pages, and the description of the API, that are generated from the code.
import { writeFileSync } from 'node:fs';
import { register } from 'tsx/esm/api';

register();
const { renderErrorsPage } = await import('../test/support/errors-page.ts');
const { renderOpenapi } = await import('../test/support/openapi-document.ts');
writeFileSync(new URL('../docs/errors.md', import.meta.url), renderErrorsPage());
writeFileSync(new URL('../docs/openapi.json', import.meta.url), await renderOpenapi());
