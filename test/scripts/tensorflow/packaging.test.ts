import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string) => readFileSync(`${ROOT}${path}`, 'utf8');

/** The script and every file of ours that it needs. */
function filesOf(path: string, known = new Set<string>()): Set<string> {
  if (known.has(path)) return known;
  known.add(path);
  for (const [, target] of read(path).matchAll(/(?:from |new URL\()'(\.\.?\/[^']+\.mjs)'/g)) {
    filesOf(posix.join(posix.dirname(path), target!), known);
  }
  return known;
}

const needed = [...filesOf('scripts/setup-tensorflow.mjs'), 'infra/tensorflow/wheels.json'];
const isBelow = (places: readonly string[]) => (file: string) =>
  places.some((place) => file === place || file.startsWith(`${place}/`));

describe('what setup:tensorflow needs', () => {
  it('is found', () => {
    expect(needed).toContain('scripts/tensorflow/probe.mjs');
    expect(needed.length).toBeGreaterThan(10);
  });

  it('is in the package of npm', () => {
    const { files } = JSON.parse(read('package.json')) as { files: string[] };
    expect(needed.filter((file) => !isBelow(files)(file))).toEqual([]);
  });

  it('goes into the image for GPUs', () => {
    const dockerfile = read('infra/docker/Dockerfile.gpu');
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list]) =>
      list!.split(' '),
    );
    expect(needed.filter((file) => !isBelow(copied)(file))).toEqual([]);
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path!);
    expect(needed.filter((file) => !isBelow(allowed)(file))).toEqual([]);
  });
});
