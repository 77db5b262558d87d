import { ImagemillError, type ErrorCode } from '../contract/errors.ts';

/** What an operation on the file system was about, for the sentence of the error. */
export interface FileOperation {
  /** In the infinitive: `read`, `write`, `list`. */
  readonly action: string;
  readonly path: string;
}

const CODE_OF_ERRNO: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'STORE_FULL',
  EDQUOT: 'STORE_FULL',
  EFBIG: 'STORE_FULL',
  EACCES: 'STORE_ACCESS_DENIED',
  EPERM: 'STORE_ACCESS_DENIED',
  EROFS: 'STORE_ACCESS_DENIED',
  // Network file systems
  ETIMEDOUT: 'STORE_UNREACHABLE',
  EHOSTDOWN: 'STORE_UNREACHABLE',
  EHOSTUNREACH: 'STORE_UNREACHABLE',
  ENOTCONN: 'STORE_UNREACHABLE',
  ENODEV: 'STORE_UNREACHABLE',
  // A file where the key needs a folder or the reverse, and names longer than the file system allows
  ENOTDIR: 'URI_INVALID',
  EISDIR: 'URI_INVALID',
  EEXIST: 'URI_INVALID',
  ENOTEMPTY: 'URI_INVALID',
  ENAMETOOLONG: 'URI_INVALID',
  EILSEQ: 'URI_INVALID',
  EINVAL: 'URI_INVALID',
  ELOOP: 'URI_INVALID',
};

/** The errno name of a system error, such as `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * A failed system call as an error of the store; anything else comes back unchanged.
 * What the table does not name (EIO, EMFILE, EBUSY, ESTALE…) is STORE_UNAVAILABLE: trying again may help.
 */
export function fileStoreError(error: unknown, operation: FileOperation): unknown {
  const errno = errnoOf(error);
  if (error instanceof ImagemillError || errno === undefined || !('syscall' in (error as Error)))
    return error;
  const code = CODE_OF_ERRNO[errno] ?? 'STORE_UNAVAILABLE';
  const reason = (error as Error).message.split(',')[0] ?? errno;
  return new ImagemillError(
    code,
    `expected to ${operation.action} ${JSON.stringify(operation.path)}, got ${reason}`,
    { cause: error },
  );
}

/** Whether a failed look-up means that no object can be under the key. */
export function meansAbsent(error: unknown): boolean {
  const errno = errnoOf(error);
  return (
    errno === 'ENOENT' ||
    errno === 'ENOTDIR' ||
    errno === 'EISDIR' ||
    errno === 'ENAMETOOLONG' ||
    errno === 'ELOOP' ||
    // open(2) on a socket
    errno === 'ENXIO'
  );
}
