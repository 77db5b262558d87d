import { S3 } from '@aws-sdk/client-s3';
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { S3Settings } from '../../src/config/environment.ts';
import type { S3Credentials } from '../../src/storage/s3-connection.ts';

const SCRIPT = new URL('../../scripts/rgw.sh', import.meta.url).pathname;
const TOOLS = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool'];
const START_ATTEMPTS = 3;

export interface RgwServer {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  stop(): Promise<void>;
}

/** What this machine lacks to run a Ceph RGW; null where it lacks nothing. */
export function rgwMissing(): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const missing = TOOLS.filter((tool) => !folders.some((folder) => isExecutable(join(folder, tool))));
  return missing.length === 0 ? null : missing.join(', ');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Starts a Ceph RGW of its own on free ports, in 4 to 6 seconds. It ends with this process however that ends, since
 * its script waits for the end of the pipe.
 */
export async function startRgw(): Promise<RgwServer> {
  const faults: string[] = [];
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
    const script = spawn(SCRIPT, { stdio: ['pipe', 'pipe', 'pipe'] });
    try {
      const ready = await firstLine(script);
      const { endpoint, accessKey, secretKey } = JSON.parse(ready) as Omit<RgwServer, 'stop'>;
      return { endpoint, accessKey, secretKey, stop: () => stopScript(script) };
    } catch (error) {
      faults.push((error as Error).message);
      await stopScript(script);
    }
  }
  throw new Error(`no Ceph RGW in ${START_ATTEMPTS} attempts: ${faults.join('; ')}`);
}

function firstLine(script: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let faults = '';
    script.stderr?.on('data', (chunk: Buffer) => (faults += chunk.toString()));
    script.once('error', reject);
    script.once('exit', (code) => reject(new Error(`rgw.sh ended with ${code}: ${faults}`)));
    if (script.stdout !== null) createInterface(script.stdout).once('line', resolve);
  });
}

async function stopScript(script: ChildProcess): Promise<void> {
  if (script.exitCode !== null || script.signalCode !== null) return;
  const exited = new Promise((resolve) => script.once('exit', resolve));
  script.stdin?.end();
  await exited;
}

/** Settings with which a store talks to the server as imagemill's defaults would. */
export function rgwSettings(endpoint: string): S3Settings {
  return {
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    checksums: 'when-required',
    attempts: 4,
    connections: 64,
    connectTimeoutMs: 3_000,
    idleTimeoutMs: 30_000,
  };
}

export function rgwCredentials(server: RgwServer): S3Credentials {
  return { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
}

/** An administrator's client, for what stores do not do. */
export function rgwClient(server: RgwServer): S3 {
  return new S3({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: rgwCredentials(server),
  });
}

/** @returns the name of a new, empty bucket */
export async function createBucket(server: RgwServer): Promise<string> {
  const client = rgwClient(server);
  const bucket = `test-${randomUUID()}`;
  await client.createBucket({ Bucket: bucket });
  client.destroy();
  return bucket;
}
