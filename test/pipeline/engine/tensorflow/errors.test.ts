import { describe, expect, it } from 'vitest';
import { ImagemillError } from '../../../../src/contract/errors.ts';
import { asEngineError, isOutOfMemory } from '../../../../src/pipeline/engine/tensorflow/errors.ts';
import { titleNeeding } from '../../../support/needs.ts';
import { NATIVE_TENSORFLOW, nativeTensorflow } from '../tensorflow-here.ts';

const native = nativeTensorflow('cpu');

function failureOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('expected a failure');
}

describe("TensorFlow's errors", () => {
  it.skipIf(native === null)(
    titleNeeding(
      NATIVE_TENSORFLOW,
      native !== null,
      'say when memory does not suffice, in words that are known',
    ),
    () => {
      if (native === null) return;
      const { tf } = native;
      // Four terabytes.
      const error = failureOf(() => tf.tidy(() => tf.tile(tf.zeros([1024, 1024]), [1024, 1024])));
      expect(isOutOfMemory(error)).toBe(true);
      const { code, message } = asEngineError(error);
      expect(code).toBe('ENGINE_OUT_OF_MEMORY');
      expect(message).toMatch(/^TensorFlow: .*OOM when allocating tensor with shape\[1048576,1048576\]/);
      expect(message).not.toContain('\n');
    },
  );

  it.skipIf(native === null)(
    titleNeeding(NATIVE_TENSORFLOW, native !== null, 'of other kinds are one line, and no matter of memory'),
    () => {
      if (native === null) return;
      const { kernels, tf } = native;
      const error = failureOf(() =>
        tf.tidy(() =>
          kernels.convolve(tf.zeros([1, 4, 4, 3]), tf.zeros([2, 2, 5, 1]), { kernel: 2, stride: 1, pad: 0 }),
        ),
      );
      expect(isOutOfMemory(error)).toBe(false);
      const { code, message } = asEngineError(error);
      expect(code).toBe('ENGINE_FAILED');
      expect(message).toMatch(/^TensorFlow: \S.*depth/);
      expect(message).not.toMatch(/\n|TF_Status|\{\{/);
    },
  );

  it('of our own stay as they are', () => {
    const own = new ImagemillError('INTERNAL', 'expected a gradient');
    expect(asEngineError(own)).toBe(own);
    expect(asEngineError('odd')).toMatchObject({ code: 'ENGINE_FAILED', message: 'TensorFlow: odd' });
  });

  it('are cut where they do not end', () => {
    expect(asEngineError(new Error('x'.repeat(10_000))).message.length).toBeLessThan(400);
  });
});
