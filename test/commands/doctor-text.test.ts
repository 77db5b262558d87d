import { describe, expect, it } from 'vitest';
import { doctorText } from '../../src/commands/doctor-text.ts';
import { candidateReport, deviceReport, doctorReport, NVIDIA } from '../support/doctor-report.ts';

describe('the report for a person', () => {
  it('says that there is no driver, no TensorFlow, and how to get one', () => {
    const text = doctorText(doctorReport());
    expect(text).toContain('machine      linux x64, glibc 2.36, 2 cores, 8.0 GiB memory\n');
    expect(text).toContain(
      'GPUs         no NVIDIA driver is loaded (/proc/driver/nvidia/version is missing)\n',
    );
    expect(text).toContain(
      '\n  cpu        works (0.5 s)\n  cuda       cannot be used: no NVIDIA driver is loaded\n',
    );
    expect(text).toMatch(/\ntensorflow {3}none in \/cache, none installed\n {13}npm run setup:tensorflow /);
    expect(text).toMatch(/\n {2}--engine onnxruntime {2}labels and trains on cpu\n/);
    expect(text).toMatch(/\n {2}--engine tensorflow {3}computes nothing \(no TensorFlow is here\)$/);
  });

  it('lists GPUs, and what is wrong with each device', () => {
    const text = doctorText(
      doctorReport({
        nvidia: { ...NVIDIA, visible: '0' },
        onnxruntime: {
          version: '1.30.0',
          devices: [
            deviceReport('cpu'),
            deviceReport('cuda:0', { state: 'missing', detail: 'Failed to load', lacks: 'libcudnn.so.9' }),
            deviceReport('webgpu', { state: 'dies', detail: 'ends the process (SIGSEGV)' }),
          ],
        },
        verdict: {
          onnxruntime: { labelsOn: 'cuda:0', trainsOn: 'cpu', fault: null },
          tensorflow: { labelsOn: null, trainsOn: 'cpu', fault: 'why' },
        },
      }),
    );
    expect(text).toContain('GPUs         NVIDIA driver 550.54.15, CUDA_VISIBLE_DEVICES=0\n');
    expect(text).toContain('\n  0          NVIDIA H100, 80.0 GiB, compute capability 9.0\n');
    expect(text).toContain('\n  cuda:0     cannot be used: Failed to load (libcudnn.so.9 is missing)\n');
    expect(text).toContain('\n  webgpu     ends the process (SIGSEGV)\n');
    expect(text).not.toContain('no NVIDIA driver');
    expect(text).toContain('labels on cuda:0, trains on cpu\n');
    expect(text).toContain('labels on nothing, trains on cpu (why)');
  });

  it('marks the TensorFlow that workers take', () => {
    const candidates = [
      candidateReport({ state: 'missing', detail: 'half-built', tensorflow: null, usesGpu: null }),
      candidateReport({ origin: 'installed', detail: 'it computes on the processor only' }),
      candidateReport({ state: 'wrong', detail: 'expected 1, got 2', usesGpu: true }),
    ];
    const text = doctorText(doctorReport({ tensorflow: { directory: '/cache', candidates } }));
    expect(text).toContain(
      '\n  1          @tensorflow/tfjs-node 4.22.0 (built): cannot be used: half-built\n',
    );
    expect(text).toContain(
      '\n  2          @tensorflow/tfjs-node 4.22.0 (installed), TensorFlow 2.18.1 on the processor: works (0.5 s); it computes on the processor only ← workers take it\n',
    );
    expect(text).toContain('TensorFlow 2.18.1 on a GPU: computes wrong numbers: expected 1, got 2\n');
    expect(text.match(/workers take it/g)).toHaveLength(1);
  });

  it('ends with the commands that mend it', () => {
    const remedies = [
      { what: 'install it again', command: 'npm ci', optional: false },
      { what: 'GPUs need it', command: 'npm run setup:cuda', optional: true },
    ];
    expect(doctorText(doctorReport({ remedies }))).toMatch(
      /\n\nto mend\n {2}install it again\n {4}npm ci\n {2}optional: GPUs need it\n {4}npm run setup:cuda$/,
    );
  });

  it('lets nobody write lines of his own into it', () => {
    const candidates = [
      candidateReport({ directory: '/x', version: '1\n  2  works\u001B[2J', state: 'missing' }),
    ];
    const text = doctorText(doctorReport({ tensorflow: { directory: '/a\nb', candidates } }));
    expect(text).not.toMatch(/\n {2}2 {2}works/);
    expect(text).not.toContain('\u001B');
  });
});
