import type { AccessMode } from '../../src/dashboard/access/access-policy.ts';
import type { LiveHub } from '../../src/dashboard/live/live-hub.ts';
import { createDashboard, type Dashboard } from '../../src/dashboard/server.ts';
import { Queues } from '../../src/queue/queues.ts';
import { WorkerRegistry } from '../../src/queue/worker-registry.ts';
import type { StoreResolver } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { RunIndex } from '../../src/storage/run-index.ts';
import { createLogger, type Logger } from '../../src/telemetry/logger.ts';

export const OPERATOR_TOKEN = 'operator-token-0123456789';
export const VIEWER_TOKEN = 'viewer-token-0123456789';
export const TOKENS = { kind: 'token', operator: OPERATOR_TOKEN, viewer: VIEWER_TOKEN } as const;

export interface TestDashboard {
  readonly address: string;
  readonly dashboard: Dashboard;
  readonly hub: LiveHub;
  readonly queues: Queues;
  readonly index: RunIndex;
  readonly resolver: StoreResolver;
  close(): Promise<void>;
}

export interface TestDashboardOptions {
  readonly redisUrl: string;
  /** Location of the index. */
  readonly home: string;
  readonly access?: AccessMode;
  readonly locations?: readonly string[] | null;
  readonly resolver?: StoreResolver;
  readonly logger?: Logger;
  /** 0 unless given: any that is free. */
  readonly port?: number;
}

/** Stores on this machine, without a service. */
export function localResolver(): StoreResolver {
  return createStoreResolver({
    s3: {
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:1',
      pathStyle: true,
      checksums: 'when-required',
      attempts: 1,
      connections: 4,
      connectTimeoutMs: 100,
      idleTimeoutMs: 100,
    },
  });
}

/** A dashboard in this process, on a free port of this machine. */
export async function startTestDashboard(options: TestDashboardOptions): Promise<TestDashboard> {
  const resolver = options.resolver ?? localResolver();
  const index = new RunIndex(resolver, options.home);
  const target = { redisUrl: options.redisUrl, prefix: 'imagemill' };
  const queues = new Queues(target);
  const workers = new WorkerRegistry(target);
  const dashboard = await createDashboard({
    resolver,
    index,
    homeUri: options.home,
    queues,
    workers,
    environment: {},
    access: options.access ?? { kind: 'open' },
    locations: options.locations ?? null,
    batchSize: 8,
    logger: options.logger ?? createLogger('silent'),
  });
  const address = await dashboard.listen('127.0.0.1', options.port ?? 0);
  return {
    address,
    dashboard,
    hub: dashboard.hub,
    queues,
    index,
    resolver,
    close: async () => {
      await dashboard.close();
      await Promise.all([queues.close(), workers.close()]);
    },
  };
}
