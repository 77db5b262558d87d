import { describe, expect, it } from 'vitest';
import { detectModelFormat } from '../../../../src/pipeline/model/weights/detect.ts';
import { writeSafetensors } from '../../../../src/pipeline/model/weights/safetensors.ts';
import { archive, bytes, reference, tensor, zip } from './support.ts';

const onnx = Buffer.from([0x08, 0x08, 0x12, 0x07, ...Buffer.from('pytorch'), 0x3a, 0x00]);

describe('detectModelFormat', () => {
  it.each(['views.zip.pth', 'views.legacy.pth', 'protocol4.legacy.pth', 'refused-torchscript.pt'])(
    'knows %s by its content, whatever its name',
    (name) => {
      expect(detectModelFormat(reference(name), 'model.onnx')).toBe('pytorch');
    },
  );

  it('knows an archive in which the pickle is not the first member', () => {
    const file = zip([
      ['model/version', Buffer.from('3\n')],
      ['model/data.pkl', tensor()],
    ]);
    expect(detectModelFormat(file, 'model')).toBe('pytorch');
  });

  it('knows safetensors by its content', () => {
    expect(detectModelFormat(reference('float32.safetensors'), 'model.pth')).toBe('safetensors');
    expect(detectModelFormat(writeSafetensors(new Map()), 'model')).toBe('safetensors');
  });

  it('knows ONNX by its content, with and without a producer', () => {
    expect(detectModelFormat(onnx, 'model.pth')).toBe('onnx');
    expect(detectModelFormat(bytes(0x08, 0x0a, 0x3a, 0x00), 'model')).toBe('onnx');
  });

  it('needs no more than the first kilobyte', () => {
    expect(detectModelFormat(archive(tensor()).subarray(0, 100), 'x')).toBe('pytorch');
    expect(detectModelFormat(reference('mixed.safetensors').subarray(0, 16), 'x')).toBe('safetensors');
  });

  it.each([
    ['a.safetensors', 'safetensors'],
    ['dir.onnx/a.PTH', 'pytorch'],
    ['a.pt', 'pytorch'],
    ['a.ckpt', 'pytorch'],
    ['s3://bucket/a.b.onnx', 'onnx'],
    ['a.bin', null],
    ['onnx', null],
    ['a.onnx/model', null],
  ])('falls back to the extension: %s', (name, format) => {
    expect(detectModelFormat(Buffer.from('hello world'), name)).toBe(format);
    expect(detectModelFormat(new Uint8Array(), name)).toBe(format);
  });

  it.each([
    ['another zip archive', zip([['word/document.xml', Buffer.from('x')]])],
    ['a zip archive that is cut off', zip([['a', Buffer.from('x')]]).subarray(0, 40)],
    ['a JPEG image', Buffer.from('ffd8ffe000104a464946', 'hex')],
    ['a pickle that is not PyTorch’s', Buffer.from('80025d2e', 'hex')],
    ['JSON', Buffer.from('        {"a": 1}')],
    ['a protobuf of something else', bytes(0x08, 0x96, 0x01)],
  ])('does not take %s for a model', (_, content) => {
    expect(detectModelFormat(content, 'model')).toBeNull();
  });
});
