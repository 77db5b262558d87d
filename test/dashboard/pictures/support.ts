import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import sharp from 'sharp';
import type { Item } from '../../../src/contract/item.ts';
import { shardDocument } from '../../../src/contract/ledger.ts';
import type { ShardedRun } from '../../../src/contract/run.ts';
import { PictureHost, type PictureHostOptions } from '../../../src/dashboard/pictures/picture-host.ts';
import { openSource } from '../../../src/pipeline/source/open-source.ts';
import type { Source } from '../../../src/pipeline/source/source.ts';
import { planRun } from '../../../src/producer/plan-run.ts';
import type { StoreResolver } from '../../../src/storage/object-store.ts';
import { createStoreResolver } from '../../../src/storage/resolver.ts';
import { RunLedger } from '../../../src/storage/run-ledger.ts';
import { fakeRun } from '../../support/fake-run.ts';
import { NO_S3 } from '../../support/object-stores.ts';

export const POISON = new URL('../../support/poison.mjs', import.meta.url).href;

/** A folder with ledgers, and hosts that are closed with it. */
export class PictureWorkspace {
  readonly folder = mkdtempSync(join(tmpdir(), 'imagemill-test-pictures-'));
  readonly resolver: StoreResolver = createStoreResolver({ s3: NO_S3 });
  readonly #hosts: PictureHost[] = [];
  #runs = 0;

  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  host(
    limits: PictureHostOptions['limits'] = {},
    environment: Record<string, string | undefined> = {},
  ): PictureHost {
    const { PATH } = process.env;
    const host = new PictureHost({
      environment: { PATH, ...environment },
      logger: pino({ level: 'silent' }),
      limits,
    });
    this.#hosts.push(host);
    return host;
  }

  /** Plans a run as a planner would. @returns its directory */
  async plan(
    uri: string,
    { shardSize = 100, source }: { shardSize?: number; source?: Source } = {},
  ): Promise<string> {
    const spec = { uri, include: [], exclude: [] };
    const run = fakeRun({ source: spec, shardSize });
    return this.planAs(run, source ?? (await openSource(spec, this.resolver)));
  }

  async planAs(
    run: ShardedRun,
    source: Source,
    resolver = this.resolver,
    out = this.#freshOut(),
  ): Promise<string> {
    const ledger = new RunLedger(resolver.open(out));
    await ledger.createRun(run);
    for await (const _chunk of planRun(ledger, run, source, 0));
    return ledger.out;
  }

  /** A run with one shard of these items. @returns its directory */
  async shardOf(items: readonly Item[], uri = `file://${this.folder}/`): Promise<string> {
    const run = fakeRun({ source: { uri, include: [], exclude: [] } });
    const ledger = new RunLedger(this.resolver.open(this.#freshOut()));
    await ledger.createRun(run);
    await ledger.createShard({
      schema: shardDocument.id,
      run: run.run,
      shard: 0,
      items: [...items],
      next: '',
    });
    return ledger.out;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #freshOut(): string {
    return this.at('runs', String((this.#runs += 1)));
  }
}

/** Format and size of a picture. */
export async function shape(bytes: Uint8Array): Promise<[string | undefined, number, number]> {
  const { format, width, height } = await sharp(bytes).metadata();
  return [format, width, height];
}
