import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyInstance } from 'fastify';
import { runOfJobId } from '../../contract/ids.ts';
import { QUEUE_NAMES, type QueueName } from '../../contract/queues.ts';
import type { Services } from '../services.ts';

export const QUEUES_PATH = '/queues';

const DESCRIPTIONS: Record<QueueName, string> = {
  plan: 'One job per run: lists the source, cuts it into shards, waits for them',
  prepare: 'One job per shard of a collection that becomes a dataset',
  classify: 'One job per shard of a collection that is labelled',
  train: 'One job per epoch',
};

/** bull-board sets styles in its page; scripts are its own files, as everywhere. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "form-action 'self'",
  "base-uri 'self'",
].join('; ');

/** Its page asks another server for fonts; the policy would refuse them anyway. */
const FOREIGN_FONTS = /<link[^>]+href="https:\/\/fonts\.googleapis\.com[^>]*>/g;

/**
 * The raw queues: bull-board, below {@link QUEUES_PATH} and behind the guard of everything else. A viewer may look; what
 * changes something takes an operator, since it is never a GET.
 */
export async function registerQueueBoard(app: FastifyInstance, { queues }: Services): Promise<void> {
  const serverAdapter = new FastifyAdapter().setBasePath(QUEUES_PATH);
  createBullBoard({
    queues: QUEUE_NAMES.map(
      (name) =>
        new BullMQAdapter(queues.get(name), {
          description: DESCRIPTIONS[name],
          externalJobUrl: ({ id }) => ({ displayText: 'Run', href: runHref(id) }),
        }),
    ),
    serverAdapter,
    options: {
      uiConfig: {
        boardTitle: 'imagemill queues',
        hideDocsLink: true,
        // A CLIENT LIST per queue and poll: the page of workers knows more, at less.
        showWorkers: false,
        miscLinks: [
          { text: 'Runs', url: '/runs' },
          { text: 'Workers', url: '/workers' },
        ],
      },
    },
  });
  await app.register(async (board) => {
    board.addHook('onRequest', async (_request, reply) => {
      reply.header('content-security-policy', CONTENT_SECURITY_POLICY);
    });
    board.addHook('onSend', async (_request, _reply, payload) =>
      typeof payload === 'string' ? payload.replace(FOREIGN_FONTS, '') : payload,
    );
    await board.register(serverAdapter.registerPlugin(), { prefix: QUEUES_PATH });
  });
}

function runHref(jobId: string | number | null | undefined): string {
  const run = runOfJobId(String(jobId ?? ''));
  return run === null ? '/runs' : `/runs/${run}`;
}
