import { ImagemillError } from '../contract/errors.ts';
import { printableLine } from '../telemetry/printable.ts';

const MESSAGE_CHARACTERS = 200;

/** What the check of a server's certificate may find, as Node names it. */
const CERTIFICATE_CODES =
  /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)/;
const WRONG_CREDENTIALS = /^(NOAUTH|WRONGPASS)|invalid username-password|without any password/i;
/** In a script Redis 7.0 says so in words only. */
const NO_PERMISSION = /^NOPERM|user executing the script can't/;
/** Alerts by which a server refuses the certificate that it was shown, or the lack of one. */
const OWN_CERTIFICATE_REFUSED = /alert (certificate|bad certificate|unknown ca|handshake failure)/i;
const SILENCE =
  /ECONNRESET|EPIPE|ETIMEDOUT|EPROTO|Connection is closed|no answer|wrong version number|disconnected/i;

/**
 * What an error of a connection to Redis means. The error itself is not passed on: those of ioredis carry the command
 * that failed with its arguments, and one of these is the password.
 * @param address without credentials
 * @param hint what to look at where the other side said nothing that can be understood
 */
export function redisFault(error: unknown, address: string, hint = ''): ImagemillError {
  const { message, code } = fieldsOf(error);
  if (NO_PERMISSION.test(message)) {
    return new ImagemillError(
      'REDIS_REFUSED',
      `Redis at ${address} does not let the user of REDIS_URL do what imagemill needs: ${message}`,
    );
  }
  if (WRONG_CREDENTIALS.test(message)) {
    return new ImagemillError('REDIS_REFUSED', `Redis at ${address} refuses the credentials of REDIS_URL`);
  }
  if (OWN_CERTIFICATE_REFUSED.test(message)) {
    return new ImagemillError(
      'REDIS_REFUSED',
      `Redis at ${address} refuses the certificate of IMAGEMILL_REDIS_TLS_CERT, or wants one and got none`,
    );
  }
  if (CERTIFICATE_CODES.test(code)) {
    return new ImagemillError(
      'REDIS_UNTRUSTED',
      `expected Redis at ${address} to show a certificate of that name by an authority that is trusted (IMAGEMILL_REDIS_TLS_CA), got ${message} [${code}]`,
    );
  }
  // A connection that nobody takes has nothing to do with TLS.
  const silent = SILENCE.test(`${code} ${message}`);
  return new ImagemillError(
    'REDIS_UNREACHABLE',
    `expected Redis at ${address}, got: ${message}${silent ? hint : ''}`,
  );
}

/** Whether an error comes from Redis or from the connection to it, so that {@link redisFault} can say what it means. */
export function isRedisFault(error: unknown): boolean {
  const { name, message } = fieldsOf(error);
  return name === 'MaxRetriesPerRequestError' || NO_PERMISSION.test(message);
}

function fieldsOf(error: unknown): { name: string; message: string; code: string } {
  if (!(error instanceof Error)) return { name: '', message: String(error), code: '' };
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const message = printableLine(error.message || code).slice(0, MESSAGE_CHARACTERS);
  return { name: error.name, message, code };
}
