/** Queue names; BullMQ forbids `:` in them. */
export const QUEUES = { plan: 'plan', prepare: 'prepare', classify: 'classify', train: 'train' } as const;
export type QueueName = (typeof QUEUES)[keyof typeof QUEUES];
export const QUEUE_NAMES = Object.values(QUEUES) as [QueueName, ...QueueName[]];

/** Jobs added in one Redis transaction: larger ones stall Redis and the producer's event loop. */
export const JOBS_PER_BULK = 1_000;

/** BullMQ priorities: 0 (none given) runs before 1, and 1 before 2,097,151. */
export const PRIORITY_MAX = 2_097_151;

/** Where none is given: labelling comes before preparing and training, which may take days. */
export const PRIORITY_DEFAULT = { classify: 0, evaluate: 0, prepare: 50, train: 100 } as const;
