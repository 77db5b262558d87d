/** Queue names; BullMQ forbids `:` in them. */
export const QUEUES = { plan: 'plan', classify: 'classify' } as const;
export type QueueName = (typeof QUEUES)[keyof typeof QUEUES];
export const QUEUE_NAMES = Object.values(QUEUES) as [QueueName, ...QueueName[]];

/** Jobs added in one Redis transaction: larger ones stall Redis and the producer's event loop. */
export const JOBS_PER_BULK = 1_000;

/** BullMQ priorities: 0 (none given) runs before 1, and 1 before 2,097,151. */
export const PRIORITY_MAX = 2_097_151;
