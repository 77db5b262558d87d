import type { RunSpec } from '../contract/run.ts';
import { openSpan, type OpenSpan } from '../telemetry/spans.ts';

/** The span of a submission: from the check of what is asked for to the first job being on the queue. */
export function openSubmission(kind: RunSpec['kind']): OpenSpan {
  return openSpan('imagemill submit', { 'imagemill.kind': kind });
}
