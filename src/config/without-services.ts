/** What a process that computes need not know: the queue, the dashboard's tokens, and who collects traces. */
const NOT_ITS_BUSINESS = /^(((IMAGEMILL_)?REDIS|OTEL)_|IMAGEMILL_(VIEWER_)?TOKEN$)/;

/** The environment for a process of ours that opens strangers' files or loads native libraries. */
export function withoutServices(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !NOT_ITS_BUSINESS.test(name)));
}
