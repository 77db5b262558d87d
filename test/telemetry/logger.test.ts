import { expect, it } from 'vitest';
import { ImagemillError } from '../../src/contract/errors.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

function logged(error: unknown): { text: string; err: Record<string, unknown> } {
  let text = '';
  const logger = createLogger('trace', {}, { write: (line) => void (text += line) });
  logger.warn({ err: error, key: 'a\n{"level":60}\u001B[2J\u009B1m' }, 'said');
  return { text, err: (JSON.parse(text) as { err: Record<string, unknown> }).err };
}

it('tells of an error its name, message, code, stack and causes, and nothing else it carries', () => {
  const reply = Object.assign(new Error('WRONGPASS'), {
    name: 'ReplyError',
    code: 'EX',
    command: { name: 'hello', args: ['3', 'AUTH', 'user', 'hunter2'] },
  });
  const { text, err } = logged(new ImagemillError('REDIS_REFUSED', 'refused', { cause: reply }));
  expect(text).not.toContain('hunter2');
  expect(err).toMatchObject({
    type: 'ImagemillError',
    message: 'refused',
    code: 'REDIS_REFUSED',
    cause: { type: 'ReplyError', message: 'WRONGPASS', code: 'EX' },
  });
  expect(Object.keys(err['cause'] as object).toSorted()).toEqual(['code', 'message', 'stack', 'type']);
});

it('ends at errors that cause each other, and takes what is no error', () => {
  const [one, other] = [new Error('one'), new Error('other')];
  one.cause = other;
  other.cause = one;
  expect(logged(one).err).toMatchObject({ message: 'one', cause: { message: 'other' } });
  expect(logged('a text').err).toEqual({ type: 'string', message: 'a text' });
});

it('writes one line, whatever a message or a key holds', () => {
  const { text } = logged(new Error('first\n{"level":60,"msg":"forged"}\r\u001B[31m\u2028'));
  expect(text.trimEnd()).not.toMatch(/[\p{Cc}\u2028]/u);
  expect(text.match(/\n/g)).toHaveLength(1);
});
