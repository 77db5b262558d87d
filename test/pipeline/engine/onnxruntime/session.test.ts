import { describe, expect, it } from 'vitest';
import {
  createSession,
  imageTensor,
  plainOrtMessage,
  runSession,
} from '../../../../src/pipeline/engine/onnxruntime/session.ts';
import { loadModel } from '../../../../src/pipeline/engine/load-model.ts';
import { buildForeign } from '../foreign-models.ts';
import { CPU } from '../support.ts';

describe('plainOrtMessage', () => {
  it.each([
    [
      'Failed to load model because protobuf parsing failed.',
      'Failed to load model because protobuf parsing failed.',
    ],
    [
      '/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n',
      'Failed to get a WebGPU adapter: No supported adapters',
    ],
    [
      "Non-zero status code returned while running Conv node. Name:'node_3' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 9\n",
      'Failed to allocate memory for requested buffer of size 9',
    ],
    [
      '[ONNXRuntimeError] : 1 : FAIL : /src/core/a.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library libx.so',
      'Failed to load library libx.so',
    ],
    [
      'Got invalid dimensions for input: images\n index: 2 Got: 32 Expected: 64\n Please',
      'Got invalid dimensions for input: images index: 2 Got: 32 Expected: 64 Please',
    ],
  ])('%#', (message, plain) => {
    expect(plainOrtMessage(message)).toBe(plain);
  });
});

describe('createSession', () => {
  it('says that a graph is refused, or that a device cannot be used', async () => {
    await expect(createSession(new Uint8Array(50).fill(7), CPU)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: 'onnxruntime refuses the graph: Failed to load model because protobuf parsing failed.',
    });
    await expect(createSession(buildForeign(), { device: 'cuda:99', threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: expect.stringMatching(/^onnxruntime cannot use the device cuda:99: \S/) as string,
    });
    await expect(createSession(buildForeign(), { device: 'tpu', threads: 1 })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'expected a device cpu, cuda:N or webgpu for the engine onnxruntime, got "tpu"',
    });
  });

  it('says that a batch failed', async () => {
    const model = await loadModel(buildForeign(), { uri: 'm' });
    const { onnx } = model.compile({ topK: 1, batchSize: 1, crops: 1, embeddings: false });
    const { session, runtime } = await createSession(onnx, CPU);
    const images = imageTensor(runtime, new Uint8Array(4 * 8 * 3), [1, 4, 8, 3]);
    await expect(runSession(session, images)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringMatching(
        /^onnxruntime failed on a batch: Got invalid dimensions for input: images/,
      ) as string,
    });
    await session.release();
  });
});
