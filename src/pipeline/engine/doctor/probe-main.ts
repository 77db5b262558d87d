/** Entry of the process that tries one device or library: answers once, if it lives to. */
import { asImagemillError } from '../../../contract/errors.ts';
import { probeTaskSchema, type ProbeAnswer, type ProbeTask } from './protocol.ts';

/** Engines load their library only where they are used. */
async function attempt(task: ProbeTask): Promise<ProbeAnswer> {
  if (task.engine === 'onnxruntime') {
    const { tryDevice } = await import('../onnxruntime/try-device.ts');
    return tryDevice(task.device);
  }
  const { tryLibrary } = await import('../tensorflow/try-library.ts');
  return tryLibrary(task.candidate);
}

// Whoever asked may be gone; then nobody ends a computation that hangs.
process.once('disconnect', () => process.exit(0));
// A terminal sends Ctrl-C to the whole group: that must not pass for the end of a broken library.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

const task = probeTaskSchema.parse(JSON.parse(process.argv[2] ?? 'null'));
const answer = await attempt(task).catch((error: unknown): ProbeAnswer => {
  const { message } = asImagemillError(error);
  return { state: 'fails', detail: message, tensorflow: null, usesGpu: null };
});
process.send?.(answer);
// The other side ends this process: on its own way out a broken driver could crash it, or keep it.
setInterval(() => {}, 60_000);
