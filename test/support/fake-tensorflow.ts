import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGE = '@tensorflow/tfjs-node';

/**
 * Writes what looks like the work of setup:tensorflow.
 * @param script of the package: what happens when it is loaded
 * @param isComplete without it the build looks interrupted
 */
export function writeFakeTensorflow(root: string, script: string, isComplete = true): void {
  const directory = join(root, 'node_modules', PACKAGE);
  mkdirSync(join(directory, 'lib', 'napi-v8'), { recursive: true });
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: PACKAGE, version: '4.22.0' }));
  writeFileSync(join(directory, 'index.js'), script);
  writeFileSync(join(directory, 'lib', 'napi-v8', 'tfjs_binding.node'), '');
  if (!isComplete) return;
  const built = { schema: 1, variant: 'cpu', tensorflow: '2.18.1', tfjs: '4.22.0', package: PACKAGE };
  writeFileSync(join(root, 'built.json'), JSON.stringify(built));
}
