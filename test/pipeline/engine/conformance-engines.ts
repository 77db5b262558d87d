/** Every engine on every device of this machine. */
import { driverVersion } from '../../../src/pipeline/engine/tensorflow/load-library.ts';
import { onnxruntime, tensorflow, type ConformanceEngine } from './conformance-engine.ts';
import { NATIVE_TENSORFLOW, nativeTensorflow } from './tensorflow-here.ts';
import { FORMS } from './training-support.ts';

const hasGpu = driverVersion() !== null;

/** TensorFlow.js has one backend in a process: the one in plain JavaScript is tested in a file of its own. */
export const ENGINES: readonly ConformanceEngine[] = [
  ...FORMS.map(onnxruntime),
  tensorflow(
    `TensorFlow's operators on the ${hasGpu ? 'GPU' : 'processor'}`,
    nativeTensorflow(hasGpu ? 'cuda:0' : 'cpu'),
    NATIVE_TENSORFLOW,
  ),
];
