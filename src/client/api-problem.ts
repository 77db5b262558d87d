import type { Problem } from '../contract/api/problem.ts';

/** An answer of the API that is not a success. */
export class ApiProblem extends Error {
  /** HTTP status. */
  readonly status: number;
  /** Code of the error catalogue; null where the answer came from something else, a proxy, say. */
  readonly code: Problem['code'] | null;
  /** What was expected and what was got. */
  readonly detail: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(problem: { status: number; code: Problem['code'] | null; detail: string; retryable: boolean }) {
    super(`${problem.detail} [${problem.code ?? problem.status}]`);
    this.name = 'ApiProblem';
    this.status = problem.status;
    this.code = problem.code;
    this.detail = problem.detail;
    this.retryable = problem.retryable;
  }
}

const PROBLEM_TYPE = 'application/problem+json';
const STATUSES_TO_RETRY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** What an answer that is not a success says. */
export async function problemOfAnswer(answer: Response): Promise<ApiProblem> {
  const { status } = answer;
  const isProblem = (answer.headers.get('content-type') ?? '').startsWith(PROBLEM_TYPE);
  const problem = isProblem ? ((await answer.json().catch(() => null)) as Problem | null) : null;
  if (problem !== null) return new ApiProblem(problem);
  await answer.body?.cancel();
  return new ApiProblem({
    status,
    code: null,
    detail: `expected an answer of imagemill, got status ${status}`,
    retryable: STATUSES_TO_RETRY.has(status),
  });
}
