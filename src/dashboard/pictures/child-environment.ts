/**
 * What a process that opens strangers' images needs to know: how to reach the store, and what an image may cost. The
 * queue and the dashboard's own secrets are none of its business.
 */
const NEEDED =
  /^(AWS_.*|IMAGEMILL_S3_.*|IMAGEMILL_MAX_IMAGE_(BYTES|PIXELS)|PATH|HOME|TMPDIR|TZ|LANG|LC_.*|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|LD_LIBRARY_PATH)$/;

export function childEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => NEEDED.test(name)));
}
