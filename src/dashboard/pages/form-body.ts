import type { FastifyInstance } from 'fastify';

const FIELDS_MAX = 500;

/** Fields of a form as a browser sends them; a name may come more than once. */
export type FormFields = Readonly<Record<string, readonly string[]>>;

/** Lets routes take `application/x-www-form-urlencoded`, as forms without a script send it. */
export function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, parseFields(body as string)),
  );
}

export function parseFields(text: string): FormFields {
  const fields: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  let count = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    count += 1;
    if (count > FIELDS_MAX) break;
    (fields[name] ??= []).push(value);
  }
  return fields;
}

/** The first value of a field, of a form or a query. */
export function firstOf(fields: unknown, name: string): string | undefined {
  if (typeof fields !== 'object' || fields === null) return undefined;
  const value: unknown = Object.hasOwn(fields, name) ? (fields as Record<string, unknown>)[name] : undefined;
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'string' ? first : undefined;
}
