import { ERROR_CATALOGUE } from '../../src/contract/errors.ts';

const SCOPES = {
  item: 'One image: a row in `errors/`, never a failed shard (exit code 3)',
  use: 'Wrong use: nothing was enqueued or written (exit code 2)',
  service:
    'A service: Redis, the object store or a device (exit code 2 before a run exists, else the job is retried)',
  run: 'A run or a shard (exit code 1)',
} as const;

/** `docs/errors.md`, from the catalogue. */
export function renderErrorsPage(): string {
  const sections = Object.entries(SCOPES).map(([scope, title]) => {
    const rows = Object.entries(ERROR_CATALOGUE)
      .filter(([, entry]) => entry.scope === scope)
      .map(([code, entry]) => `- **${code}**${entry.retryable ? ' (retried)' : ''}: ${entry.meaning}`);
    return `## ${title}\n\n${rows.join('\n')}\n`;
  });
  return `# Errors\n\nEvery fault that a command, a ledger or a job reports has one of these codes. Generated from \`src/contract/errors.ts\`\nby \`npm run docs\`; a test holds the two together.\n\n${sections.join('\n')}`;
}
