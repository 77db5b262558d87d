/** Where a TensorFlow for Node may be, and what state it is in. Nothing is loaded here. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** In the order in which they are tried. */
export const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;
export type PackageName = (typeof PACKAGES)[number];

/** Written last by scripts/setup-tensorflow.mjs, after its checks. */
const builtSchema = z.object({
  schema: z.literal(1),
  variant: z.enum(['cpu', 'cuda']),
  tensorflow: z.string(),
  tfjs: z.string(),
  package: z.enum(PACKAGES),
});

const BINDING = join('lib', 'napi-v8', 'tfjs_binding.node');

export interface Candidate {
  readonly package: PackageName;
  /** `built`: by setup:tensorflow, in its directory; `installed`: by npm, beside imagemill. */
  readonly origin: 'built' | 'installed';
  /** Of the package. */
  readonly directory: string;
  /** Of the package, as its package.json says. */
  readonly version: string;
  /** Why it cannot be used, as far as files tell; null: nothing is known against it. */
  readonly fault: string | null;
}

/**
 * Every TensorFlow that is there, in the order in which they are tried: tfjs-node-gpu before tfjs-node, one that was
 * built for this machine before one that npm has installed.
 * @param builtDirectory where setup:tensorflow builds; undefined: only what npm has installed
 */
export function findLibraries(builtDirectory: string | undefined): Candidate[] {
  return PACKAGES.flatMap((name) =>
    [builtDirectory === undefined ? null : findBuilt(name, builtDirectory), findInstalled(name)].filter(
      (candidate) => candidate !== null,
    ),
  );
}

function findBuilt(name: PackageName, root: string): Candidate | null {
  const directory = join(root, 'node_modules', name);
  const version = versionOf(directory);
  if (version === null) return null;
  return { package: name, origin: 'built', directory, version, fault: builtFault(name, root, directory) };
}

function builtFault(name: PackageName, root: string, directory: string): string | null {
  const again = 'npm run setup:tensorflow builds it again';
  const built = builtSchema.safeParse(readJson(join(root, 'built.json')));
  if (!built.success) return `half-built in ${root}: ${again}`;
  if (built.data.package !== name) return `${root} holds a build of ${built.data.package}`;
  return existsSync(join(directory, BINDING)) ? null : `its binding is gone from ${root}: ${again}`;
}

function findInstalled(name: PackageName): Candidate | null {
  let directory: string;
  try {
    directory = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return null;
  }
  const fault = existsSync(join(directory, BINDING))
    ? null
    : `its binding was not installed: npm rebuild ${name}, or npm run setup:tensorflow`;
  return { package: name, origin: 'installed', directory, version: versionOf(directory) ?? 'unknown', fault };
}

function versionOf(directory: string): string | null {
  const parsed = z.object({ version: z.string() }).safeParse(readJson(join(directory, 'package.json')));
  return parsed.success ? parsed.data.version : null;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
