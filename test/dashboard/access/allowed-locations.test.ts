import { describe, expect, it } from 'vitest';
import { submitRunSchema } from '../../../src/contract/api/submit.ts';
import { allowedRoots, checkLocations } from '../../../src/dashboard/access/allowed-locations.ts';
import { countedMemory } from '../support.ts';

const { resolver } = countedMemory();
const request = (more: Record<string, unknown> = {}) =>
  submitRunSchema.parse({
    kind: 'classify',
    source: 's3://photos/in/',
    model: 's3://photos/model.onnx',
    out: 's3://photos/out/',
    ...more,
  });

function refusal(allowed: string[] | null, more: Record<string, unknown>): string | null {
  try {
    checkLocations(request(more), allowedRoots(allowed, resolver), resolver);
    return null;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('checkLocations', () => {
  it('takes anything where nothing is said, and every bucket for s3://', () => {
    expect(refusal(null, { source: '/etc/', out: 'file:///tmp/x' })).toBeNull();
    expect(refusal(['s3://'], { source: 's3://any-bucket/x' })).toBeNull();
    expect(refusal(['S3://'], {})).toBeNull();
    for (const source of [
      '/etc/',
      'photos',
      './photos',
      '../photos',
      'file:///etc/',
      'FILE:///etc/',
      'memory://x/',
    ]) {
      expect(refusal(['s3://'], { source }), source).toBe('LOCATION_REFUSED');
    }
  });

  it('looks at every field that names a location', () => {
    for (const field of ['source', 'model', 'labels', 'out']) {
      expect(refusal(['s3://photos/'], { [field]: 's3://other/x' }), field).toBe('LOCATION_REFUSED');
    }
    const train = submitRunSchema.parse({
      kind: 'train',
      dataset: 's3://photos/d/',
      out: 's3://photos/o/',
      init: '/etc/passwd',
    });
    expect(() => checkLocations(train, ['s3://photos/'], resolver)).toThrow(
      /^init: expected a location below s3:\/\/photos\//,
    );
  });

  it.each([
    's3://photoshop/x',
    's3://photos.evil/x',
    's3://PHOTOS/x',
    's3://photos',
    's3://photos/input/',
    's3://photos/in/../secret/',
    's3://photos/in/./../secret/',
    's3://photos/in/..',
    's3://photos//in/x',
    's3://photos/in/{a,b}/x.tar',
    's3://photos/in/{.,x}{.,y}/secret.tar',
    's3://photos/in/%7B.,x%7D%7B.,y%7D/secret.tar',
    's3://photos/in/{a,../../secret/b}.tar',
  ])('below s3://photos/in refuses %s', (source) => {
    const roots = allowedRoots(['s3://photos/in', 's3://photos/out', 's3://photos/model.onnx'], resolver);
    expect(() => checkLocations(request({ source }), roots, resolver)).toThrow(
      expect.objectContaining({ code: 'LOCATION_REFUSED' }) as Error,
    );
  });

  it.each([
    's3://photos/in',
    'S3://photos/in/',
    's3://photos/in/a..b/',
    's3://photos/in/...',
    's3://photos/in/train-{000..012}.tar',
  ])('below s3://photos/in takes %s', (source) =>
    expect(refusal(['s3://photos/in', 's3://photos/out', 's3://photos/model.onnx'], { source })).toBeNull(),
  );

  it.each([
    '/data/../etc/',
    '/data',
    '/database/x',
    '/data/in/../../etc/passwd',
    'file:///data/%2e%2e/etc/',
    'file:///data/in/%2E%2e/%2e%2E/etc/',
    '/data/in/{.,x}{.,y}/{.,x}{.,y}/etc/x.tar',
    '/data/in/{a,b}/x.tar',
    '//etc/passwd',
    's3://data/in/',
  ])('below /data/in refuses %s', (source) => {
    expect(refusal(['/data/in', 's3://photos'], { source })).toBe('LOCATION_REFUSED');
  });

  it.each([
    '/data/in',
    '/data/in/x',
    '/data/./in//x',
    '/data/out/../in/x',
    'file:///data/in/x',
    '/data/in/..x',
    '/data/in/{000..002}.tar',
  ])('below /data/in takes %s', (source) =>
    expect(refusal(['/data/in/', 's3://photos'], { source })).toBeNull(),
  );

  it('refuses what is no location at all as such', () => {
    expect(refusal(['s3://'], { source: 'http://example.org/x' })).toBe('URI_INVALID');
    expect(refusal(['s3://'], { source: 'file:///data%2f..%2fetc/' })).toBe('URI_INVALID');
    expect(() => allowedRoots(['ftp://x'], resolver)).toThrow(/expected s3:/);
  });
});
