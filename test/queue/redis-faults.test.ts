import { describe, expect, it } from 'vitest';
import { isRedisFault, redisFault } from '../../src/queue/redis-faults.ts';

const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });
const failure = (code: string, message = code) => Object.assign(new Error(message), { code });

describe('redisFault', () => {
  it.each([
    [reply('WRONGPASS invalid username-password pair or user is disabled.'), 'REDIS_REFUSED'],
    [reply('NOAUTH Authentication required.'), 'REDIS_REFUSED'],
    [reply("NOPERM this user has no permissions to run the 'info' command"), 'REDIS_REFUSED'],
    [
      reply("ERR The user executing the script can't run this command or subcommand script: 1"),
      'REDIS_REFUSED',
    ],
    [
      failure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'ssl/tls alert certificate required'),
      'REDIS_REFUSED',
    ],
    [failure('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'tlsv1 alert unknown ca'), 'REDIS_REFUSED'],
    [failure('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify the first certificate'), 'REDIS_UNTRUSTED'],
    [failure('SELF_SIGNED_CERT_IN_CHAIN'), 'REDIS_UNTRUSTED'],
    [failure('CERT_HAS_EXPIRED'), 'REDIS_UNTRUSTED'],
    [failure('ERR_TLS_CERT_ALTNAME_INVALID'), 'REDIS_UNTRUSTED'],
    [failure('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1'), 'REDIS_UNREACHABLE'],
    ['no error at all', 'REDIS_UNREACHABLE'],
  ])('%s is %s', (error, code) => {
    expect(redisFault(error, 'queue:1')).toMatchObject({
      code,
      message: expect.stringContaining('queue:1') as string,
    });
  });

  it('says which permission is missing', () => {
    expect(redisFault(reply("NOPERM … to run the 'info' command"), 'q').message).toContain(
      "the 'info' command",
    );
  });

  it('passes on nothing of the error but a short line of its message', () => {
    const error = Object.assign(reply(`ERR x\r\n{"level":60}\u001B[31m${'y'.repeat(10_000)}`), {
      command: { name: 'auth', args: ['hunter2'] },
    });
    const fault = redisFault(error, 'q');
    expect(fault.message).toMatch(/^[^\p{Cc}]{1,300}$/u);
    expect(fault.cause).toBeUndefined();
  });

  it('hints only where the other side said nothing that can be understood', () => {
    expect(redisFault(failure('ECONNRESET'), 'q', ' (hint)').message).toContain('(hint)');
    expect(redisFault(failure('ECONNREFUSED'), 'q', ' (hint)').message).not.toContain('(hint)');
    expect(redisFault(failure('ENOTFOUND'), 'q', ' (hint)').message).not.toContain('(hint)');
  });
});

it('isRedisFault tells what a person can do something about from faults of our own', () => {
  expect(isRedisFault(reply('NOPERM no'))).toBe(true);
  expect(isRedisFault(Object.assign(new Error('Reached'), { name: 'MaxRetriesPerRequestError' }))).toBe(true);
  expect(isRedisFault(reply('ERR wrong number of arguments'))).toBe(false);
  expect(isRedisFault(new TypeError('x is not a function'))).toBe(false);
});
