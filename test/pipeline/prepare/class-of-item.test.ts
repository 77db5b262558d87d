import { describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/contract/errors.ts';
import type { Item } from '../../../src/contract/item.ts';
import { classOfItem, MAX_CLASS_NAME_LENGTH } from '../../../src/pipeline/prepare/class-of-item.ts';

function codeOf(item: Item, source: string): string {
  try {
    return `class ${classOfItem(item, source)}`;
  } catch (error) {
    return error instanceof ImageError ? error.code : String(error);
  }
}

const inTar = (member: string, label?: string): Item => ({
  uri: `s3://b/a.tar#${member}`,
  within: { uri: 's3://b/a.tar', offset: 512, bytes: 9 },
  ...(label === undefined ? {} : { label }),
});

describe('classOfItem', () => {
  it.each([
    ['s3://b/photos/', 's3://b/photos/cat/1.jpg', 'cat'],
    ['s3://b/photos', 's3://b/photos/cat/deep/er/1.jpg', 'cat'],
    ['s3://b', 's3://b/cat/1.jpg', 'cat'],
    ['file:///data/pets', 'file:///data/pets/big%20cat/1.jpg', 'big cat'],
    ['file:///data/{pets}/', 'file:///data/%7Bpets%7D/a%23b/1.jpg', 'a#b'],
    ['file:///data/a%20b/', 'file:///data/a%20b/caf%C3%A9/1.jpg', 'café'],
    ['s3://b/x%20y/', 's3://b/x%20y/100%/1.jpg', '100%'],
  ])('below %s the class of %s is its first folder', (source, uri, name) => {
    expect(classOfItem({ uri }, source)).toBe(name);
  });

  it('prefers the label that the source gives, in a tar and in a manifest', () => {
    expect(classOfItem(inTar('dog/1.jpg', 'cat'), 's3://b/a.tar')).toBe('cat');
    expect(classOfItem({ uri: 's3://b/dog/1.jpg', label: 'cat' }, 's3://b/list.csv')).toBe('cat');
  });

  it("takes a tar's own folder where it has no label", () => {
    expect(classOfItem(inTar('./dog/1.jpg'), 's3://b/a.tar')).toBe('dog');
    expect(codeOf(inTar('1.jpg'), 's3://b/a.tar')).toBe('LABEL_MISSING');
  });

  it.each([
    ['an image at the root of its source', { uri: 's3://b/photos/1.jpg' }, 's3://b/photos/'],
    ['one image that was named itself', { uri: 's3://b/cat/1.jpg' }, 's3://b/cat/1.jpg'],
    ['an image elsewhere', { uri: 's3://b/photos2/cat/1.jpg' }, 's3://b/photos'],
    [
      'a row of a manifest, whatever its folders are called',
      { uri: 's3://b/images/1.jpg' },
      's3://b/list.parquet',
    ],
  ])('does not guess the class of %s', (_what, item, source) => {
    expect(codeOf(item, source)).toBe('LABEL_MISSING');
  });

  it.each([
    ['an empty one', ''],
    ['white space', ' \t '],
    ['a line feed', 'ca\nt'],
    ['a NUL', 'ca\0t'],
    ['a line separator', 'ca\u2028t'],
    ['half of a surrogate pair', 'ca\ud800t'],
    ['what was not UTF-8', 'ca\ufffdt'],
    ['more characters than allowed', 'c'.repeat(MAX_CLASS_NAME_LENGTH + 1)],
  ])('refuses %s as a label', (_what, label) => {
    expect(codeOf({ uri: 's3://b/1.jpg', label }, 's3://b/list.csv')).toBe('LABEL_INVALID');
  });

  it('refuses an empty folder name', () => {
    expect(codeOf({ uri: 's3://b/photos//1.jpg' }, 's3://b/photos/')).toBe('LABEL_INVALID');
  });

  it('takes any other text, and leaves out white space around it', () => {
    const longest = '猫'.repeat(MAX_CLASS_NAME_LENGTH);
    expect(classOfItem({ uri: 'x', label: longest }, 's3://b/list.csv')).toBe(longest);
    expect(classOfItem({ uri: 'x', label: ' great white shark 🦈 ' }, 's3://b/list.csv')).toBe(
      'great white shark 🦈',
    );
  });
});
