import { ImagemillError } from '../../contract/errors.ts';
import type { RangeReader } from './range-reader.ts';
import {
  parsePaxRecords,
  parseTarHeader,
  readText,
  sparseError,
  TAR_BLOCK_BYTES,
  type PaxRecords,
  type TarHeader,
} from './tar-headers.ts';

/** Largest body of a pax or GNU long-name header, in bytes. */
const MAX_EXTENSION_BYTES = 1024 * 1024;
/** Types whose size field does not stand for a body: links, devices, folders, pipes. */
const WITHOUT_BODY = '123456';

export interface TarMember {
  readonly name: string;
  /** False for folders, links and the like. */
  readonly isFile: boolean;
  /** Offset of the body in the tar. */
  readonly offset: number;
  /** Bytes of the body. */
  readonly bytes: number;
  /** Offset of what follows the member. */
  readonly next: number;
}

/**
 * Reads the member whose headers begin at `start`; its body is not fetched.
 * @returns null at the end of the tar
 * @throws ImagemillError TAR_INVALID with the tar and the offset, where it is damaged or ends early
 */
export async function readTarMember(reader: RangeReader, start: number): Promise<TarMember | null> {
  let pax: PaxRecords = {};
  let longName: string | undefined;
  let offset = start;
  for (;;) {
    const where = `${reader.uri} at byte ${offset}`;
    const header = parseTarHeader(await reader.read(offset, TAR_BLOCK_BYTES), where);
    if (header === null) {
      if (offset === start) return null;
      throw new ImagemillError(
        'TAR_INVALID',
        `${where}: expected a member after its extended header, got the end`,
      );
    }
    const body = offset + TAR_BLOCK_BYTES;
    switch (header.type) {
      case 'x':
        pax = parsePaxRecords(await readExtension(reader, body, header, where), where);
        break;
      case 'L':
        longName = readText(await readExtension(reader, body, header, where));
        break;
      case 'K':
      case 'g':
        // A long link target, and records for all members (comments, in practice): neither says where bytes are.
        break;
      case 'S':
        throw sparseError(where);
      case 'M':
        throw new ImagemillError(
          'TAR_INVALID',
          `${where}: expected a whole tar, got a piece of a multi-volume one`,
        );
      default:
        return describeMember(reader, header, pax.path ?? longName ?? header.name, body, pax.bytes, where);
    }
    offset = afterBody(body, header.bytes);
  }
}

function describeMember(
  reader: RangeReader,
  header: TarHeader,
  name: string,
  offset: number,
  paxBytes: number | undefined,
  where: string,
): TarMember {
  const bytes = WITHOUT_BODY.includes(header.type) ? 0 : (paxBytes ?? header.bytes);
  if (offset + bytes > reader.bytes) {
    throw new ImagemillError(
      'TAR_INVALID',
      `${where}: expected a member of ${bytes} bytes, got the end of the object at ${reader.bytes} (truncated)`,
    );
  }
  // Before POSIX a folder was a file whose name ends in a slash.
  const isFile = header.type === '0' && !name.endsWith('/');
  return { name, isFile, offset, bytes, next: afterBody(offset, bytes) };
}

async function readExtension(
  reader: RangeReader,
  offset: number,
  header: TarHeader,
  where: string,
): Promise<Uint8Array> {
  if (header.bytes > MAX_EXTENSION_BYTES) {
    throw new ImagemillError(
      'TAR_INVALID',
      `${where}: expected an extended header of at most ${MAX_EXTENSION_BYTES} bytes, got ${header.bytes}`,
    );
  }
  return reader.read(offset, header.bytes);
}

function afterBody(offset: number, bytes: number): number {
  return offset + Math.ceil(bytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}
