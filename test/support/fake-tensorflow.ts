import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { PackageName } from '../../src/pipeline/engine/tensorflow/find-library.ts';

/**
 * Writes what looks like the work of setup:tensorflow.
 * @param script of the package: what happens when it is loaded
 * @param isComplete without it the build looks interrupted
 * @param name of the package
 */
export function writeFakeTensorflow(
  root: string,
  script: string,
  isComplete = true,
  name: PackageName = '@tensorflow/tfjs-node',
): void {
  const directory = join(root, 'node_modules', name);
  mkdirSync(join(directory, 'lib', 'napi-v8'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, version: '4.22.0' }));
  writeFileSync(join(directory, 'index.js'), script);
  writeFileSync(join(directory, 'lib', 'napi-v8', 'tfjs_binding.node'), '');
  if (!isComplete) return;
  const variant = name === '@tensorflow/tfjs-node' ? 'cpu' : 'cuda';
  const built = { schema: 1, variant, tensorflow: '2.18.1', tfjs: '4.22.0', package: name };
  writeFileSync(join(root, 'built.json'), JSON.stringify(built));
}
