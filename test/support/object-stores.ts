import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObjectStore, StoreResolver } from '../../src/storage/object-store.ts';
import { createStoreResolver } from '../../src/storage/resolver.ts';
import { createBucket, rgwCredentials, rgwMissing, rgwSettings, startRgw, type RgwServer } from './rgw.ts';

/** One kind of store, for tests that run on each. */
export interface StoreKind {
  readonly name: string;
  /** What this machine lacks to run it; null where it lacks nothing. */
  readonly missing: string | null;
  /** For `beforeAll`. */
  start(): Promise<void>;
  /** For `afterAll`. */
  stop(): Promise<void>;
  /** A new, empty location, as a URI that ends in `/`. */
  freshUri(): Promise<string>;
  /** The resolver that opens those. */
  resolver(): StoreResolver;
}

/** A new, empty store of a kind that has been started. */
export async function freshStore(kind: StoreKind): Promise<ObjectStore> {
  return kind.resolver().open(await kind.freshUri());
}

/** Settings of an S3 server that no test may reach. */
export const NO_S3 = rgwSettings('http://127.0.0.1:9');

export function memoryKind(): StoreKind {
  let stores = 0;
  const resolver = createStoreResolver({ s3: NO_S3 });
  return {
    name: 'memory store',
    missing: null,
    start: async () => undefined,
    stop: async () => undefined,
    freshUri: async () => `memory://store-${++stores}/root/`,
    resolver: () => resolver,
  };
}

export function fileKind(): StoreKind {
  let folder = '';
  let stores = 0;
  const resolver = createStoreResolver({ s3: NO_S3 });
  return {
    name: 'file store',
    missing: null,
    start: async () => {
      folder = await mkdtemp(join(tmpdir(), 'imagemill-store-'));
    },
    stop: () => rm(folder, { recursive: true, force: true }),
    freshUri: async () => `file://${folder}/store-${++stores}/`,
    resolver: () => resolver,
  };
}

/** Starts a Ceph RGW of its own; each location is a prefix in a new bucket. */
export function s3Kind(): StoreKind & { server(): RgwServer } {
  let server: RgwServer | undefined;
  let resolver: StoreResolver | undefined;
  const started = (): RgwServer => {
    if (server === undefined) throw new Error('start() comes first');
    return server;
  };
  return {
    name: 'S3 store',
    missing: rgwMissing() === null ? null : 'radosgw',
    start: async () => {
      server = await startRgw();
      resolver = createStoreResolver({
        s3: rgwSettings(server.endpoint),
        s3Credentials: rgwCredentials(server),
      });
    },
    stop: async () => {
      resolver?.close();
      await server?.stop();
    },
    freshUri: async () => `s3://${await createBucket(started())}/pre fix/`,
    resolver: () => resolver ?? createStoreResolver({ s3: rgwSettings(started().endpoint) }),
    server: started,
  };
}

/** A title that says so where the kind cannot run here. */
export function titleOf(kind: StoreKind): string {
  return kind.missing === null ? kind.name : `${kind.name} (skipped: needs ${kind.missing})`;
}
