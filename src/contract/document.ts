import { z } from 'zod';
import { ImagemillError } from './errors.ts';

/** A versioned JSON document: lands in the ledger, crosses Redis, or both. */
export interface DocumentType<S extends z.ZodType> {
  /** The value of the document's `schema` field, such as `imagemill.run/1`. */
  readonly id: string;
  readonly schema: S;
  /**
   * Checks a value read from the ledger or from a job.
   * @param where what the value is, for the message (`s3://…/run.json`, `job r-….000042`)
   * @throws ImagemillError CONTRACT_VERSION_UNKNOWN, CONTRACT_INVALID
   */
  parse(value: unknown, where: string): z.infer<S>;
  /** The same from JSON bytes. */
  decode(bytes: Uint8Array, where: string): z.infer<S>;
  encode(value: z.input<S>): Uint8Array;
}

/** Defines a document type `imagemill.<name>/<version>`; unknown fields are kept out, unknown versions refused. */
export function defineDocument<T extends z.ZodRawShape>(
  name: string,
  version: number,
  shape: T,
): DocumentType<z.ZodObject<T & { schema: z.ZodLiteral<string> }>> {
  const id = `imagemill.${name}/${version}`;
  const schema = z.object({ schema: z.literal(id), ...shape }) as unknown as z.ZodObject<
    T & { schema: z.ZodLiteral<string> }
  >;
  type Value = z.infer<typeof schema>;

  function parse(value: unknown, where: string): Value {
    const found = readSchemaId(value);
    if (found !== id) {
      throw new ImagemillError(
        'CONTRACT_VERSION_UNKNOWN',
        `${where}: expected a document "${id}", got ${describeSchemaId(found)}`,
      );
    }
    const result = schema.safeParse(value);
    if (!result.success) {
      throw new ImagemillError('CONTRACT_INVALID', `${where}: ${describeIssues(result.error)}`);
    }
    return result.data;
  }

  return {
    id,
    schema,
    parse,
    decode: (bytes, where) => parse(parseJson(bytes, where), where),
    encode: (value) => new TextEncoder().encode(JSON.stringify(schema.parse(value))),
  };
}

/** All faults of a failed zod parse on one line: `path: message; path: message`. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'document'}: ${issue.message}`)
    .join('; ');
}

/** What a document says it is; null where that is no text, undefined where it says nothing. */
function readSchemaId(value: unknown): string | null | undefined {
  if (typeof value !== 'object' || value === null || !('schema' in value)) return undefined;
  return typeof value.schema === 'string' ? value.schema : null;
}

const SHOWN_LENGTH = 100;

function describeSchemaId(found: string | null | undefined): string {
  if (found === undefined) return 'one without a schema';
  if (found === null) return 'one whose schema is no text';
  return `"${found.length > SHOWN_LENGTH ? `${found.slice(0, SHOWN_LENGTH)}…` : found}"`;
}

/** Damaged text is refused: a mangled URI would be taken for an object that does not exist. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseJson(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new ImagemillError('CONTRACT_INVALID', `${where}: not JSON (${(error as Error).message})`);
  }
}
