import type { Submitted } from '../../contract/api/runs.ts';
import type { SubmitRun } from '../../contract/api/submit.ts';
import { isTrainRun } from '../../contract/run.ts';
import { newRunIdentity, type Submission, type SubmittedRun } from '../../producer/create-run.ts';
import { enqueueRun } from '../../producer/enqueue-run.ts';
import { enqueueTrain } from '../../producer/enqueue-train.ts';
import { submitClassify } from '../../producer/submit-classify.ts';
import { submitEvaluate } from '../../producer/submit-evaluate.ts';
import { submitPrepare } from '../../producer/submit-prepare.ts';
import { submitTrain } from '../../producer/submit-train.ts';
import { withSpan, type OpenSpan } from '../../telemetry/spans.ts';
import { checkLocations } from '../access/allowed-locations.ts';
import type { Services } from '../services.ts';

/**
 * Checks a request, creates its run and puts it on the queue; nothing is written before every check has passed.
 * @throws ImagemillError LOCATION_REFUSED and what the command of the same name is refused with
 */
export function submitRun(
  request: SubmitRun,
  services: Services,
  submission: Submission,
): Promise<Submitted> {
  return withSpan('imagemill submit', { 'imagemill.kind': request.kind }, (span) =>
    submit(request, services, submission, span),
  );
}

async function submit(
  request: SubmitRun,
  services: Services,
  submission: Submission,
  span: OpenSpan,
): Promise<Submitted> {
  checkLocations(request, services.locations, services.resolver);
  const { run, ledger, created } = await create(request, services, submission);
  span.set({ 'imagemill.run': run.run });
  if ((await ledger.state()) !== 'done') {
    const { priority } = request;
    if (isTrainRun(run)) {
      const startAt =
        request.kind === 'train' && request.at !== undefined ? { startAt: new Date(request.at) } : {};
      await enqueueTrain(ledger, run, services.queues, { priority, ...startAt });
    } else {
      await enqueueRun(ledger, run, services.queues, { priority });
    }
  }
  services.catalogue.touch(run.run);
  return { run: run.run, out: ledger.out, created };
}

function create(
  request: SubmitRun,
  services: Services,
  { submittedBy, identity = newRunIdentity(new Date()) }: Submission,
): Promise<SubmittedRun> {
  const { resolver, index } = services;
  const submission = { submittedBy, identity };
  if (request.kind === 'classify') {
    const batchSize = request.batchSize ?? services.batchSize;
    return submitClassify(
      { ...request, ...submission, source: sourceOf(request), batchSize },
      resolver,
      index,
    );
  }
  if (request.kind === 'prepare') {
    return submitPrepare({ ...request, ...submission, source: sourceOf(request) }, resolver, index);
  }
  if (request.kind === 'train') {
    return submitTrain({ ...request, ...submission, settings: settingsOf(request) }, resolver, index);
  }
  const out = request.out ?? services.home.uriOf(`evaluations/${identity.run}`);
  const batchSize = request.batchSize ?? services.batchSize;
  return submitEvaluate({ ...request, ...submission, out, batchSize }, resolver, index);
}

function sourceOf({
  source,
  include,
  exclude,
  limit,
}: Pick<Extract<SubmitRun, { kind: 'classify' }>, 'source' | 'include' | 'exclude' | 'limit'>) {
  return { uri: source, include, exclude, ...(limit === undefined ? {} : { limit }) };
}

function settingsOf({
  settings,
  epochs,
  batchSize,
}: Pick<Extract<SubmitRun, { kind: 'train' }>, 'settings' | 'epochs' | 'batchSize'>): string[] {
  return [
    ...settings,
    ...(epochs === undefined ? [] : [`epochs=${epochs}`]),
    ...(batchSize === undefined ? [] : [`batchSize=${batchSize}`]),
  ];
}
