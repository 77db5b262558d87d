import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';
import { jobLogger } from '../../src/workers/job-logger.ts';

const RUN = 'r-01JD3ZQ8W5T9V2B6N4K7M1C0XA';

function lineOf(job: { id: string; queueName: string; data: unknown }): Record<string, unknown> {
  let text = '';
  const logger = createLogger('info', {}, { write: (line) => void (text += line) });
  jobLogger(logger, job).info('said');
  const { level, time, msg, ...rest } = JSON.parse(text) as Record<string, unknown>;
  expect({ level, msg, time: typeof time }).toEqual({ level: 30, msg: 'said', time: 'number' });
  return rest;
}

describe('the logger of a job', () => {
  it('tells of the shard', () => {
    const id = `${RUN}.000007.g0`;
    expect(lineOf({ id, queueName: 'classify', data: { run: RUN, shard: 7 } })).toEqual({
      queue: 'classify',
      job: id,
      run: RUN,
      shard: 7,
    });
  });

  it('tells of the epoch', () => {
    const id = `${RUN}.e000003.g0`;
    expect(lineOf({ id, queueName: 'train', data: { run: RUN, epoch: 3 } })).toEqual({
      queue: 'train',
      job: id,
      run: RUN,
      epoch: 3,
    });
  });

  it.each([null, 'text', {}, { run: 'r-1', shard: -1, epoch: 'x' }])(
    'takes the run from the id where the payload is %j',
    (data) => {
      const id = `${RUN}.plan.g12`;
      expect(lineOf({ id, queueName: 'plan', data })).toEqual({ queue: 'plan', job: id, run: RUN });
    },
  );

  it('does without a run where none is to be found', () => {
    expect(lineOf({ id: 'repeat:x', queueName: 'plan', data: 7 })).toEqual({
      queue: 'plan',
      job: 'repeat:x',
    });
  });
});
