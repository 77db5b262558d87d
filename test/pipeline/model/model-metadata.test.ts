import { describe, expect, it } from 'vitest';
import { TORCHVISION_PREPROCESSING } from '../../../src/contract/model-card.ts';
import { IMAGENET_LABELS } from '../../../src/pipeline/model/imagenet-labels.ts';
import { chooseLabels, parseLabels, readPreprocessing } from '../../../src/pipeline/model/model-metadata.ts';

describe('parseLabels', () => {
  it.each([
    ['a JSON array', '["cat","dog"]', ['cat', 'dog']],
    ['a JSON dict, whatever its order', '{"1":"dog","0":"cat"}', ['cat', 'dog']],
    ['a Python dict', `{0: 'cat', 1: "dog's"}`, ['cat', "dog's"]],
    ['a Python dict with escapes', String.raw`{0: 'dog\'s', 1: 'a, b: c'}`, ["dog's", 'a, b: c']],
    ['a Python list', `['cat', "dog's"]`, ['cat', "dog's"]],
    ['a comma list', 'cat, dog ,horse', ['cat', 'dog', 'horse']],
    ['indices with a gap', `{0: 'cat', 2: 'dog'}`, []],
    ['a dict that starts at one', `{1: 'cat', 2: 'dog'}`, []],
    ['numbers', '[1,2]', []],
    ['a word', 'imagenet', []],
    ['nothing', '', []],
    ['a Python list that is cut off', `['cat', 'do`, ['cat']],
    ['a dict with names that have no number', `{0: 'cat', x: 'dog'}`, ['cat']],
  ])('reads %s', (_, text, expected) => {
    expect(parseLabels(text)).toEqual(expected);
  });
});

describe('parseLabels, of hostile text', () => {
  it.each([
    ['quotes that are never closed', `['${"\\'".repeat(500_000)}`, 0],
    ['digits without a name', `{${'1'.repeat(2_000_000)}`, 0],
    ['one name of ten million characters', `['${'a'.repeat(10_000_000)}']`, 1],
  ])('%s take one pass', { timeout: 10_000 }, (_, text, count) => {
    expect(parseLabels(text)).toHaveLength(count);
  });
});

describe('chooseLabels', () => {
  const choose = (given: string[] | undefined, entries: Record<string, string>, classes: number): unknown =>
    chooseLabels(given, new Map(Object.entries(entries)), classes, 'm.onnx');

  it('prefers given labels, then those of the file, then ImageNet names, then numbers', () => {
    const entries = { names: "{0: 'x', 1: 'y'}", 'imagemill.labels': '["a","b"]' };
    expect(choose(['p', 'q'], entries, 2)).toEqual({ labels: ['p', 'q'], labelsFrom: 'file' });
    expect(choose(undefined, entries, 2)).toEqual({ labels: ['a', 'b'], labelsFrom: 'model' });
    expect(choose(undefined, { names: entries.names }, 2)).toEqual({
      labels: ['x', 'y'],
      labelsFrom: 'model',
    });
    expect(choose(undefined, { names: entries.names }, 3)).toEqual({
      labels: ['0', '1', '2'],
      labelsFrom: 'numbered',
    });
    expect(choose(undefined, {}, 1000)).toEqual({ labels: [...IMAGENET_LABELS], labelsFrom: 'imagenet' });
  });

  it('refuses a wrong count of labels that were meant for this model', () => {
    expect(() => choose(['a'], {}, 2)).toThrow('m.onnx: expected 2 labels, one per class, got 1');
    expect(() => choose(undefined, { 'imagemill.labels': '["a"]' }, 2)).toThrow('expected 2 labels');
    expect(() => choose(undefined, { 'imagemill.labels': 'a,b' }, 2)).toThrow('expected a JSON array');
  });
});

describe('readPreprocessing', () => {
  it('reads what was written and refuses anything else', () => {
    const entry = (text: string): Map<string, string> => new Map([['imagemill.preprocessing', text]]);
    const text = JSON.stringify(TORCHVISION_PREPROCESSING);
    expect(readPreprocessing(entry(text), 'm')).toEqual(TORCHVISION_PREPROCESSING);
    expect(readPreprocessing(new Map(), 'm')).toBeUndefined();
    expect(() => readPreprocessing(entry('{"scale":1}'), 'm')).toThrow('m: imagemill.preprocessing: resize:');
  });
});

describe('IMAGENET_LABELS', () => {
  it('is in the order of the class index', () => {
    expect(IMAGENET_LABELS).toHaveLength(1000);
    expect([0, 281, 999].map((index) => IMAGENET_LABELS[index])).toEqual(['tench', 'tabby', 'toilet tissue']);
  });
});
