/** What tests of the API read in its description. */
import { readFileSync } from 'node:fs';
import addFormatsModule from 'ajv-formats';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export interface Media {
  readonly schema?: object;
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: 'path' | 'query' | 'header';
    readonly required?: boolean;
    readonly schema: object;
  }[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Media>> }>
  >;
}

export interface OpenapiDocument {
  readonly openapi: string;
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** `docs/openapi.json` */
export function readOpenapi(): OpenapiDocument {
  return JSON.parse(
    readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'),
  ) as OpenapiDocument;
}

export interface NamedOperation extends Operation {
  readonly method: string;
  readonly path: string;
}

export function operationsOf({ paths }: OpenapiDocument): NamedOperation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method, path })),
  );
}

/** Validators of the schemas of a document; strict about anything that is no JSON Schema. */
export class SchemaChecks {
  readonly #ajv: Ajv2020;
  readonly #compiled = new Map<object, ValidateFunction>();

  constructor(document: OpenapiDocument) {
    this.#ajv = new Ajv2020({
      strict: true,
      strictTypes: false,
      allErrors: true,
      keywords: ['x-event-data', 'components'],
    });
    // A CommonJS module whose types say otherwise.
    const addFormats = addFormatsModule as unknown as (ajv: Ajv2020) => void;
    addFormats(this.#ajv);
    this.#ajv.addSchema({ $id: 'document', components: document.components });
  }

  /** What is wrong with a value; null where nothing is. */
  fault(schema: object, value: unknown): string | null {
    const validate = this.#compile(schema);
    return validate(value) ? null : this.#ajv.errorsText(validate.errors);
  }

  #compile(schema: object): ValidateFunction {
    const known = this.#compiled.get(schema);
    if (known !== undefined) return known;
    const absolute = JSON.parse(
      JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/'),
    ) as object;
    const compiled = this.#ajv.compile(absolute);
    this.#compiled.set(schema, compiled);
    return compiled;
  }
}

/** The answer of an operation that a status and content type belong to; undefined where there is none. */
export function mediaOf(operation: Operation, status: number, contentType: string): Media | undefined {
  const range = `${Math.floor(status / 100)}XX`;
  const content = (operation.responses[String(status)] ?? operation.responses[range])?.content ?? {};
  const type = contentType.split(';', 1)[0]?.trim() ?? '';
  return Object.entries(content).find(([name]) => name.split(';', 1)[0] === type)?.[1];
}
