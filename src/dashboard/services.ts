import type { Queues } from '../queue/queues.ts';
import type { ObjectStore, StoreResolver } from '../storage/object-store.ts';
import type { RunIndex } from '../storage/run-index.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { MetricsRegister } from '../telemetry/metrics.ts';
import type { AccessMode } from './access/access-policy.ts';
import type { Idempotency } from './api/idempotency.ts';
import type { RunCatalogue } from './catalogue/run-catalogue.ts';
import type { LiveHub } from './live/live-hub.ts';
import type { PictureHost } from './pictures/picture-host.ts';
import type { PartRows } from './runs/part-rows.ts';
import type { FleetView } from './workers/fleet-view.ts';

/** What every route works with. */
export interface Services {
  readonly resolver: StoreResolver;
  readonly index: RunIndex;
  /** Store at IMAGEMILL_HOME. */
  readonly home: ObjectStore;
  readonly queues: Queues;
  readonly catalogue: RunCatalogue;
  readonly hub: LiveHub;
  readonly fleet: FleetView;
  readonly register: MetricsRegister;
  readonly access: AccessMode;
  readonly idempotency: Idempotency;
  readonly parts: PartRows;
  readonly pictures: Pick<PictureHost, 'thumbnail' | 'filters' | 'minibatch'>;
  /** Locations that runs may name; null: any. */
  readonly locations: readonly string[] | null;
  /** Images per step where a request names none. */
  readonly batchSize: number;
  readonly logger: Logger;
}
