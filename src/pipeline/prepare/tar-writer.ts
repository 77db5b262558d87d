import { createHash } from 'node:crypto';
import { ImagemillError } from '../../contract/errors.ts';
import { TAR_BLOCK_BYTES } from '../source/tar-headers.ts';

/** A tar is built in memory, and larger ones are more than a file system or a server takes in one put. */
export const MAX_TAR_BYTES = 2 ** 31 - 1;

/** A tar ends with two blocks of zeros (POSIX.1-2017, pax, "ustar Interchange Format"). */
const END_BYTES = 2 * TAR_BLOCK_BYTES;
const MAX_USTAR_NAME_BYTES = 100;
const FILE = '0';
const PAX = 'x';

/**
 * Writes a tar into memory: ustar headers, with pax records before a member whose name is longer than 100 bytes or
 * not ASCII. Nothing but names and bodies goes in (time 0, owner 0, mode 0644), so that equal members give equal tars.
 */
export class TarWriter {
  readonly #chunks: Uint8Array[] = [];
  readonly #hash = createHash('sha256');
  readonly #maxBytes: number;
  #bytes = 0;

  /** @param maxBytes of the whole tar */
  constructor(maxBytes = MAX_TAR_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Appends a file. The body is kept, not copied: it must not change before `finish`.
   * @returns offset of the body in the tar
   * @throws ImagemillError USAGE where the tar would become larger than allowed, INTERNAL for a name that cannot be one
   */
  add(name: string, body: Uint8Array): number {
    if (name === '' || /[\0\p{Surrogate}]/u.test(name) || name.endsWith('/')) {
      throw new ImagemillError('INTERNAL', `expected the name of a tar member, got ${JSON.stringify(name)}`);
    }
    const records = isPlain(name) ? undefined : paxRecord('path', name);
    const size = (bytes: number) => TAR_BLOCK_BYTES + padded(bytes);
    const added = (records === undefined ? 0 : size(records.length)) + size(body.length);
    if (this.#bytes + added + END_BYTES > this.#maxBytes) {
      throw new ImagemillError(
        'USAGE',
        `expected the images of one shard to fill at most ${this.#maxBytes} bytes of tar, got more; use a smaller --shard-size`,
      );
    }
    if (records !== undefined) {
      this.#push(header('pax-header', records.length, PAX));
      this.#pushPadded(records);
    }
    // The records say the name; readers without pax see this one.
    this.#push(header(records === undefined ? name : 'pax-member', body.length, FILE));
    const offset = this.#bytes;
    this.#pushPadded(body);
    return offset;
  }

  /** The whole tar and its `sha256:<hex>`. Nothing can be added afterwards. */
  finish(): { bytes: Uint8Array; digest: string } {
    this.#push(new Uint8Array(END_BYTES));
    const bytes = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks.length = 0;
    return { bytes, digest: `sha256:${this.#hash.digest('hex')}` };
  }

  #pushPadded(body: Uint8Array): void {
    this.#push(body);
    const padding = padded(body.length) - body.length;
    if (padding > 0) this.#push(new Uint8Array(padding));
  }

  #push(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }
}

function isPlain(name: string): boolean {
  return name.length <= MAX_USTAR_NAME_BYTES && /^[\x20-\x7e]+$/.test(name);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array {
  const rest = Buffer.from(` ${key}=${value}\n`);
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** @param name ASCII, of at most 100 bytes */
function header(name: string, bytes: number, type: typeof FILE | typeof PAX): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  block.write(name, 0, 'latin1');
  block.write(octal(0o644, 8), 100, 'latin1');
  block.write(octal(0, 8), 108, 'latin1');
  block.write(octal(0, 8), 116, 'latin1');
  block.write(octal(bytes, 12), 124, 'latin1');
  block.write(octal(0, 12), 136, 'latin1');
  // The checksum counts as spaces while it is taken.
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${octal(checksum, 7)} `, 148, 'latin1');
  return block;
}

/** Digits and the NUL that ends them, `width` bytes. */
function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}
