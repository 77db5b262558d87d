import { ImagemillError, type ErrorCode } from '../contract/errors.ts';
import { printableLine } from '../telemetry/printable.ts';

/** What a request was about, for the sentence of the error. */
export interface S3Place {
  /** Scheme, host and port of the endpoint; never credentials. */
  readonly address: string;
  readonly bucket: string;
  /** Full key; undefined for requests about the bucket. */
  readonly key?: string;
}

/** The fields of SDK and socket errors that matter here. */
interface S3Fault {
  /** `NoSuchKey`, `TimeoutError`, … */
  readonly name: string;
  readonly message: string;
  /** HTTP status; undefined where no answer came. */
  readonly status: number | undefined;
  /** `ECONNREFUSED`, … */
  readonly errno: string | undefined;
  readonly requestId: string | undefined;
}

const MESSAGE_CHARACTERS = 300;

/** Their messages can repeat what was sent, the access key among it. */
const CREDENTIAL_FAULTS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'ExpiredToken',
  'TokenRefreshRequired',
  'AuthorizationHeaderMalformed',
  'AuthorizationQueryParametersError',
  'InvalidSecurity',
  'CredentialsProviderError',
  'TokenProviderError',
]);

const CODE_OF_NAME: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['AccessDenied', 'STORE_ACCESS_DENIED'],
  ['RequestTimeTooSkewed', 'STORE_ACCESS_DENIED'],
  ['NoSuchBucket', 'STORE_NOT_FOUND'],
  ['InvalidBucketName', 'STORE_NOT_FOUND'],
  ['PermanentRedirect', 'STORE_NOT_FOUND'],
  ['NoSuchKey', 'OBJECT_NOT_FOUND'],
  ['NotFound', 'OBJECT_NOT_FOUND'],
  ['KeyTooLongError', 'URI_INVALID'],
  ['InvalidURI', 'URI_INVALID'],
  ['InvalidObjectName', 'URI_INVALID'],
  ['XMinioInvalidObjectName', 'URI_INVALID'],
  ['QuotaExceeded', 'STORE_FULL'],
  ['QuotaExceededException', 'STORE_FULL'],
  ['XMinioAdminBucketQuotaExceeded', 'STORE_FULL'],
  ['XMinioStorageFull', 'STORE_FULL'],
  ['InsufficientStorage', 'STORE_FULL'],
  ['SlowDown', 'STORE_UNAVAILABLE'],
  ['RequestTimeout', 'STORE_UNAVAILABLE'],
  // The SDK's own name for every kind of silence
  ['TimeoutError', 'STORE_UNREACHABLE'],
]);

/** Errnos of failures on this side of the network: everything else that has an errno means the other side. */
const LOCAL_ERRNOS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS']);

function readFault(error: unknown): S3Fault {
  const fields = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly [field: string]: unknown;
  };
  const metadata = fields['$metadata'] as { httpStatusCode?: number; requestId?: string } | undefined;
  return {
    name: typeof fields['name'] === 'string' ? fields['name'] : 'Error',
    message: typeof fields['message'] === 'string' ? fields['message'] : String(error),
    status: metadata?.httpStatusCode,
    errno: typeof fields['code'] === 'string' ? fields['code'] : undefined,
    requestId: metadata?.requestId,
  };
}

function codeOf(fault: S3Fault): ErrorCode {
  if (CREDENTIAL_FAULTS.has(fault.name)) return 'STORE_ACCESS_DENIED';
  const named = CODE_OF_NAME.get(fault.name);
  if (named !== undefined) return named;
  if (fault.status === 507) return 'STORE_FULL';
  if (fault.status === 401 || fault.status === 403) return 'STORE_ACCESS_DENIED';
  if (fault.status === 301) return 'STORE_NOT_FOUND';
  if (fault.status === undefined && fault.errno !== undefined && !LOCAL_ERRNOS.has(fault.errno)) {
    return 'STORE_UNREACHABLE';
  }
  return 'STORE_UNAVAILABLE';
}

/** HTTP status of a failed request; undefined where no answer came. */
export function statusOf(error: unknown): number | undefined {
  return readFault(error).status;
}

/** The SDK's name of a failed request's fault, such as `NoSuchBucket`. */
export function faultNameOf(error: unknown): string {
  return readFault(error).name;
}

/** Whether the connection broke or stayed silent, so that a reply can be missing its end. */
export function isBrokenConnection(error: unknown): boolean {
  const fault = readFault(error);
  return fault.status === undefined && (fault.errno !== undefined || fault.name === 'TimeoutError');
}

/**
 * A failed request as an error of the store. The cause holds the name, status and request id only: the SDK's own
 * error carries the signed request, which must not reach a log.
 */
export function s3StoreError(error: unknown, place: S3Place): ImagemillError {
  if (error instanceof ImagemillError) return error;
  const fault = readFault(error);
  const code = codeOf(fault);
  const object = place.key === undefined ? '' : ` about ${JSON.stringify(place.key)}`;
  const expected = `expected bucket ${JSON.stringify(place.bucket)} at ${place.address} to answer${object}`;
  return new ImagemillError(code, `${expected}, got ${describeFault(fault)}`, {
    cause: slimCause(fault),
  });
}

function describeFault(fault: S3Fault): string {
  if (fault.name === 'CredentialsProviderError') {
    return 'no request out, since no credentials were found (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role)';
  }
  const kind = fault.errno ?? fault.name;
  const status = fault.status === undefined ? '' : ` (HTTP ${fault.status})`;
  const silent = CREDENTIAL_FAULTS.has(fault.name) || fault.message === '' || fault.message === kind;
  return silent ? kind + status : `${kind}${status}: ${oneLine(fault.message)}`;
}

function oneLine(message: string): string {
  return printableLine(message).replaceAll(/\s+/g, ' ').slice(0, MESSAGE_CHARACTERS);
}

function slimCause(fault: S3Fault): Error {
  const cause = new Error(describeFault(fault));
  cause.name = fault.name;
  delete cause.stack;
  return fault.requestId === undefined ? cause : Object.assign(cause, { requestId: fault.requestId });
}
