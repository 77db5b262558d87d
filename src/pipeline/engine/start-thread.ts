import { Worker, type Transferable } from 'node:worker_threads';

/** Compiled code runs beside compiled code, TypeScript sources beside sources. */
const RUNS_FROM_SOURCES = import.meta.url.endsWith('.ts');

/**
 * Starts a thread from a module of this folder.
 * @param name of the module, without extension
 * @param workerData what the thread is started with; buffers of `transferList` move to it
 */
export function startThread(name: string, workerData: unknown, transferList: Transferable[]): Worker {
  const options = { workerData, transferList };
  if (!RUNS_FROM_SOURCES) return new Worker(new URL(`./${name}.js`, import.meta.url), options);
  // A thread does not take on its parent's TypeScript loader, and Node 20 applies --import to threads too late.
  const loader = import.meta.resolve('tsx/esm/api');
  const main = new URL(`./${name}.ts`, import.meta.url).href;
  const source = `import('${loader}').then(({ register }) => { register(); return import('${main}'); })`;
  return new Worker(source, { ...options, eval: true, execArgv: [] });
}

/** The bytes in a buffer that holds nothing else, so that it can be transferred. */
export function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  const isWhole = buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength;
  return isWhole ? new Uint8Array(buffer) : Uint8Array.from(bytes);
}
