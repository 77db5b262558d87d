import type { Commit } from '../../src/contract/ledger.ts';
import { resultRowSchema, errorRowSchema } from '../../src/contract/rows.ts';
import { RunLedger } from '../../src/storage/run-ledger.ts';
import { TrainingLedger } from '../../src/storage/training-ledger.ts';
import { runCli } from '../support/cli.ts';
import { rgwClient } from '../support/rgw.ts';
import type { Workload } from './plan.ts';
import { IMAGES, type ChaosServices } from './services.ts';

/** What is wrong with a run that has ended; everything is 0 or empty where the promise holds. */
export interface Verdict {
  /** Items without a row, or epochs without a commit. */
  readonly lost: number;
  /** Items with more than one row. */
  readonly doubled: number;
  /** Committed parts, checkpoints or models whose bytes differ from the calm run's. */
  readonly different: string[];
  /** Objects and uploads that no commit names and `gc` left behind. */
  readonly leaked: string[];
}

export async function verify(services: ChaosServices, workload: Workload, out: string): Promise<Verdict> {
  const { code, stderr } = await runCli(['gc', out, '--json'], services.env);
  if (code !== 0) throw new Error(`gc ended with ${code}: ${stderr}`);
  const leaked = await findLeaks(services, out);
  const rest = await (workload === 'classify' ? verifyLabels : verifyTraining)(services, out);
  return { ...rest, leaked: [...leaked, ...rest.leaked] };
}

async function verifyLabels(services: ChaosServices, out: string): Promise<Verdict> {
  const ledger = new RunLedger(services.resolver.open(out));
  const calm = new RunLedger(services.resolver.open(services.calmOut('classify')));
  const seen = new Map<string, number>();
  const different: string[] = [];
  const named = new Set<string>();
  for await (const commit of ledger.commits()) {
    for (const key of keysOf(commit)) named.add(key);
    for (const uri of await urisOf(ledger, commit)) seen.set(uri, (seen.get(uri) ?? 0) + 1);
    const expected = await calm.findCommit(commit.shard);
    const isEqual =
      expected?.part.digest === commit.part.digest && expected?.errors?.digest === commit.errors?.digest;
    if (!isEqual) different.push(`shard ${commit.shard}`);
  }
  const leaked = [...(await keysBelow(services, out, ['parts/', 'errors/']))].filter(
    (key) => !named.has(key),
  );
  return {
    lost: IMAGES - seen.size,
    doubled: [...seen.values()].filter((count) => count > 1).length,
    different,
    leaked,
  };
}

function keysOf({ part, errors }: Commit): string[] {
  return errors === null ? [part.key] : [part.key, errors.key];
}

async function urisOf({ store }: RunLedger, { part, errors }: Commit): Promise<string[]> {
  const lines = async (key: string) =>
    Buffer.from(await store.get(key))
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
  const rows = (await lines(part.key)).map((line) => resultRowSchema.parse(JSON.parse(line)).uri);
  if (errors === null) return rows;
  return [...rows, ...(await lines(errors.key)).map((line) => errorRowSchema.parse(JSON.parse(line)).uri)];
}

async function verifyTraining(services: ChaosServices, out: string): Promise<Verdict> {
  const [run, calm] = [out, services.calmOut('train')].map(
    (uri) => new TrainingLedger(services.resolver.open(uri)),
  ) as [TrainingLedger, TrainingLedger];
  const [epochs, expected] = [await run.epochs(), await calm.epochs()];
  const [summary, calmSummary] = [await run.findSummary(), await calm.findSummary()];
  const facts = (epoch: (typeof epochs)[number] | undefined) =>
    JSON.stringify([epoch?.epoch, epoch?.checkpoint.digest, epoch?.train, epoch?.validation]);
  const different = expected
    .filter((epoch, index) => facts(epoch) !== facts(epochs[index]))
    .map(({ epoch }) => `epoch ${epoch}`);
  if (summary?.best.digest !== calmSummary?.best.digest) different.push('best.safetensors');
  const steps = (await Promise.all(expected.map(({ epoch }) => run.steps(epoch)))).flat();
  const named = new Set(
    [...epochs, ...steps].flatMap(({ checkpoint, metrics }) => [checkpoint.key, metrics.key]),
  );
  const found = await keysBelow(services, out, ['checkpoints/', 'metrics/']);
  return {
    lost: Math.max(0, expected.length - epochs.length),
    doubled: Math.max(0, epochs.length - expected.length),
    different,
    leaked: [...found].filter((key) => !named.has(key)),
  };
}

async function keysBelow(services: ChaosServices, out: string, prefixes: string[]): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const prefix of prefixes) {
    for await (const page of services.resolver.open(out).list(prefix)) {
      for (const { key } of page) keys.add(key);
    }
  }
  return keys;
}

/** Multipart uploads that were never completed, and objects of probes. */
async function findLeaks({ rgw, root }: ChaosServices, out: string): Promise<string[]> {
  const client = rgwClient(rgw);
  const bucket = root.slice('s3://'.length, -1);
  const prefix = out.slice(root.length);
  const uploads = await client.listMultipartUploads({ Bucket: bucket, Prefix: prefix });
  const probes = await client.listObjectsV2({ Bucket: bucket, Prefix: `${prefix}.imagemill-` });
  client.destroy();
  return [
    ...(uploads.Uploads ?? []).map(({ Key }) => `upload ${Key}`),
    ...(probes.Contents ?? []).map(({ Key }) => `probe ${Key}`),
  ];
}
