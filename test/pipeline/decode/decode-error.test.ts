import { describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/contract/errors.ts';
import { toImageError } from '../../../src/pipeline/decode/decode-error.ts';

describe('toImageError', () => {
  // What libvips 8.18 says.
  it.each([
    ['timeout: 42% complete\nVipsImage: killed for image "temp-889"', 'IMAGE_TIMEOUT'],
    ['Input image exceeds pixel limit', 'IMAGE_TOO_MANY_PIXELS'],
    ['VipsJpeg: premature end of JPEG image', 'IMAGE_TRUNCATED'],
    ['VipsJpeg: Corrupt JPEG data: premature end of data segment', 'IMAGE_TRUNCATED'],
    ['Input buffer has corrupt header: gifload_buffer: Unexpected end of GIF source data', 'IMAGE_TRUNCATED'],
    ['heif: Invalid input: Unexpected end of file: Extent in iloc box (2.100)', 'IMAGE_TRUNCATED'],
    ['VipsJpeg: Corrupt JPEG data: 7 extraneous bytes before marker 0xda', 'IMAGE_CORRUPT'],
    ['vipspng: libpng read error', 'IMAGE_CORRUPT'],
    ['Input buffer has corrupt header: ', 'IMAGE_CORRUPT'],
  ])('%j is %s', (message, code) => {
    expect(toImageError(new Error(message), 'jpeg').code).toBe(code);
  });

  it('says in one line what was expected and what the decoder said last', () => {
    const error = toImageError(
      new Error('Input buffer has corrupt header: source: bad seek to 10\nheif: No item (2.1)\n \n(2.100)'),
      'avif',
    );
    expect(error.message).toBe('expected a readable AVIF image, got "heif: No item (2.1)" from the decoder');
    expect(toImageError(new Error('Input buffer has corrupt header:\n'), 'png').message).toBe(
      'expected a readable PNG image, got "unreadable header" from the decoder',
    );
  });

  it('keeps an ImageError as it is', () => {
    const error = new ImageError('IMAGE_EMPTY', 'expected an image, got zero bytes');
    expect(toImageError(error, 'gif')).toBe(error);
  });
});
