import { gzipSync } from 'node:zlib';
import {
  EMPTY_BYTES,
  HTML_BYTES,
  makeAvif,
  makeGif,
  makeJpeg,
  makePng,
  makeRandomBytes,
  makeTiff,
  makeWebp,
} from '../images.ts';
import { hostile, type HostileFile } from './hostile-file.ts';

/** Files that are not what their names say, or are two things at once. */
export async function impostors(): Promise<HostileFile[]> {
  const size = { width: 90, height: 70 };
  const [jpeg, png, gif, webp, tiff, avif] = [
    await makeJpeg(size),
    await makePng(size),
    await makeGif(size),
    await makeWebp(size),
    await makeTiff(size),
    await makeAvif(size),
  ];
  const script = '\n/* */ fetch("http://127.0.0.1/") // <script>alert(1)</script>';
  return [
    hostile('empty.jpg', 'IMAGE_EMPTY', EMPTY_BYTES),
    hostile('one-byte.jpg', 'IMAGE_FORMAT_UNKNOWN', Uint8Array.of(0xff)),
    hostile('html-error-page.jpg', 'IMAGE_FORMAT_UNKNOWN', HTML_BYTES),
    hostile('text.png', 'IMAGE_FORMAT_UNKNOWN', Buffer.from('This is not an image.\n')),
    hostile('random.webp', 'IMAGE_FORMAT_UNKNOWN', makeRandomBytes(50_000)),
    hostile('zeros.tif', 'IMAGE_FORMAT_UNKNOWN', new Uint8Array(100_000)),
    hostile('jpeg-named.png', 'labelled', jpeg),
    hostile('png-named.jpg', 'labelled', png),
    hostile('gif-named.webp', 'labelled', gif),
    hostile('webp-named.gif', 'labelled', webp),
    hostile('tiff-named.avif', 'labelled', tiff),
    hostile('avif-named.jpeg', 'labelled', avif),
    hostile('jpeg-and-zip.jpg', 'labelled', Buffer.concat([jpeg, emptyZip()])),
    hostile('jpeg-and-script.jpg', 'labelled', Buffer.concat([jpeg, Buffer.from(script)])),
    hostile('gif-and-script.gif', 'labelled', Buffer.concat([gif, Buffer.from(script)])),
    hostile('png-and-html.png', 'labelled', Buffer.concat([png, HTML_BYTES])),
    hostile('webp-and-html.webp', 'labelled', Buffer.concat([webp, HTML_BYTES])),
    hostile(
      'pdf-with-jpeg.jpg',
      'IMAGE_FORMAT_UNKNOWN',
      Buffer.concat([Buffer.from('%PDF-1.7\n1 0 obj\nstream\n'), jpeg]),
    ),
    hostile('zip-with-jpeg.jpg', 'IMAGE_FORMAT_UNKNOWN', Buffer.concat([Buffer.from('PK\x03\x04'), jpeg])),
    hostile('gzip-with-jpeg.jpg', 'IMAGE_FORMAT_UNKNOWN', gzipSync(jpeg)),
    hostile('space-before-jpeg.jpg', 'IMAGE_FORMAT_UNKNOWN', Buffer.concat([Buffer.from('\n'), jpeg])),
    hostile('jpeg-cmyk.jpg', 'labelled', await makeJpeg({ ...size, colour: 'cmyk' })),
    hostile('png-16-bit.png', 'labelled', await makePng({ ...size, kind: 'rgb16' })),
    hostile('png-palette.png', 'labelled', await makePng({ ...size, kind: 'palette' })),
  ];
}

/** SVG documents under names of images. @param server an address that must never be asked */
export function disguisedDrawings(server: string): HostileFile[] {
  const open =
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="48">';
  const image = (reference: string) =>
    `<image width="64" height="48" xlink:href="${reference}" href="${reference}"/>`;
  const laughs = Array.from(
    { length: 9 },
    (_, level) => `<!ENTITY l${level + 1} "${`&l${level};`.repeat(10)}">`,
  ).join('');
  const drawings: Record<string, string> = {
    'svg-plain.png': `${open}<rect width="9" height="9"/></svg>`,
    'svg-file-reference.png': `${open}${image('file:///etc/passwd')}</svg>`,
    'svg-http-reference.jpg': `${open}${image(`${server}/reference.png`)}</svg>`,
    'svg-style-import.jpg': `${open}<style>@import url("${server}/style.css");</style></svg>`,
    'svg-external-entity.png': `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>${open}<text>&x;</text></svg>`,
    'svg-external-dtd.png': `<?xml version="1.0"?><!DOCTYPE svg SYSTEM "${server}/evil.dtd">${open}</svg>`,
    'svg-billion-laughs.png': `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">${laughs}]>${open}<text>&l9;</text></svg>`,
    'svg-xinclude.png': `${open}<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/></svg>`,
    'svg-after-byte-order-mark.png': `\uFEFF<?xml version="1.0"?>${open}</svg>`,
    'svg-after-comment.png': `<!-- ${'x'.repeat(5_000)} -->${open}</svg>`,
    'svg-of-a-billion-pixels.png': `<svg xmlns="http://www.w3.org/2000/svg" width="100000" height="100000"/>`,
  };
  return [
    ...Object.entries(drawings).map(([name, text]) =>
      hostile(name, 'IMAGE_FORMAT_UNKNOWN', Buffer.from(text)),
    ),
    hostile('svg-utf-16.png', 'IMAGE_FORMAT_UNKNOWN', Buffer.from(`\uFEFF${open}</svg>`, 'utf16le')),
    hostile('svg-compressed.png', 'IMAGE_FORMAT_UNKNOWN', gzipSync(`${open}</svg>`)),
  ];
}

function emptyZip(): Buffer {
  return Buffer.from('PK\x05\x06' + '\0'.repeat(18), 'latin1');
}
