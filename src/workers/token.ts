import { randomBytes } from 'node:crypto';

const TOKEN_BYTES = 10;

/** Names one attempt, unlike any other. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}
