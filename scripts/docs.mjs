// `npm run docs`: writes the pages that are generated from the code.
import { writeFileSync } from 'node:fs';
import { register } from 'tsx/esm/api';

register();
const { renderErrorsPage } = await import('../test/support/errors-page.ts');
writeFileSync(new URL('../docs/errors.md', import.meta.url), renderErrorsPage());
