/** Requests made from the description of the API: as it wants them, and damaged in every way a client could think of. */
import * as fc from 'fast-check';
import type { NamedOperation, OpenapiDocument } from '../support/openapi.ts';
import { applied, damage, odd } from './api-damage.ts';

export interface FuzzedRequest {
  readonly operation: NamedOperation;
  readonly method: string;
  /** As it goes over the wire, query included. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | null;
  /** The body as a value, where it is JSON of its content type. */
  readonly value: unknown;
  readonly isJson: boolean;
}

/** What there is to ask for. */
export interface Known {
  readonly runs: readonly string[];
  /** Locations that exist, or may be written to, by the name of the field. */
  readonly locations: Readonly<Record<string, readonly string[]>>;
}

type Schema = Readonly<Record<string, unknown>>;

export class RequestArbitraries {
  readonly #document: OpenapiDocument;
  readonly #known: Known;

  constructor(document: OpenapiDocument, known: Known) {
    this.#document = document;
    this.#known = known;
  }

  /** Values of a schema; of the names of fields that are locations, what is there is chosen more often than not. */
  valuesOf(schema: Schema, name = ''): fc.Arbitrary<unknown> {
    const { $ref, anyOf, oneOf, type, pattern, format } = schema as Record<string, never>;
    const known = this.#known.locations[name];
    if (known !== undefined)
      return fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known) }, fc.webPath());
    if ($ref !== undefined) {
      return this.valuesOf(this.#document.components.schemas[String($ref).split('/').at(-1) ?? ''] as Schema);
    }
    if ('const' in schema) return fc.constant(schema['const']);
    if ('enum' in schema) return fc.constantFrom(...(schema['enum'] as unknown[]));
    const choices = (anyOf ?? oneOf) as Schema[] | undefined;
    if (choices !== undefined) return fc.oneof(...choices.map((choice) => this.valuesOf(choice, name)));
    if (pattern !== undefined && String(pattern).startsWith('^r-')) {
      return fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...this.#known.runs) },
        fc.stringMatching(/^r-[0-9A-HJKMNP-TV-Z]{26}$/),
      );
    }
    if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern, 'u'));
    if (format === 'date-time')
      return fc.date({ noInvalidDate: true, max: new Date('9999-01-01') }).map((date) => date.toISOString());
    return this.#plain(schema, type, name);
  }

  #plain(schema: Schema, type: string | undefined, name: string): fc.Arbitrary<unknown> {
    const bounds = schema as Readonly<Record<string, number>>;
    if (type === 'boolean') return fc.boolean();
    if (type === 'null') return fc.constant(null);
    if (type === 'integer' || type === 'number') {
      const [min, max] = [bounds['minimum'] ?? 0, Math.min(bounds['maximum'] ?? 1_000, 2 ** 53 - 1)];
      if (type === 'number') return fc.double({ min, max, noNaN: true });
      return fc.oneof(
        fc.integer({ min, max: Math.min(max, min + 20) }),
        fc.maxSafeInteger().filter((n) => n >= min && n <= max),
        fc.constant(max),
      );
    }
    if (type === 'string') {
      return fc.string({
        minLength: bounds['minLength'] ?? 0,
        maxLength: Math.min(bounds['maxLength'] ?? 30, 30),
      });
    }
    if (type === 'array') {
      return fc.array(this.valuesOf((schema['items'] ?? {}) as Schema, name), { maxLength: 3 });
    }
    if (type === 'object') return this.#objects(schema);
    return odd;
  }

  #objects({ properties = {}, required = [] }: Schema): fc.Arbitrary<unknown> {
    const fields = Object.entries(properties as Record<string, Schema>).map(
      ([name, schema]): [string, fc.Arbitrary<unknown>] => [name, this.valuesOf(schema, name)],
    );
    const whole = fc.record(Object.fromEntries(fields), { requiredKeys: required as string[] });
    // What is more than needed is often what is refused.
    const needed = fields.filter(([name]) => (required as string[]).includes(name));
    return fc.oneof(whole, fc.record(Object.fromEntries(needed)));
  }

  /** A request as the document wants it. */
  valid(operation: NamedOperation): fc.Arbitrary<FuzzedRequest> {
    const parameters = operation.parameters ?? [];
    const chosen = fc.record(
      Object.fromEntries(parameters.map(({ name, schema }) => [name, this.valuesOf(schema as Schema, name)])),
      { requiredKeys: parameters.filter(({ required }) => required).map(({ name }) => name) },
    );
    const schema = operation.requestBody?.content['application/json']?.schema;
    const body = schema === undefined ? fc.constant(undefined) : this.valuesOf(schema as Schema);
    return fc
      .tuple(chosen, body)
      .map(([values, value]) => assemble(operation, values as Record<string, unknown>, value));
  }

  /** A request with something wrong about it, or with nothing: chance decides. */
  damaged(operation: NamedOperation): fc.Arbitrary<FuzzedRequest> {
    return fc
      .tuple(this.valid(operation), fc.array(damage, { minLength: 1, maxLength: 2 }))
      .map(([request, kinds]) => {
        let current = request;
        for (const kind of kinds) current = applied(current, kind);
        return current;
      });
  }
}

function assemble(operation: NamedOperation, values: Record<string, unknown>, value: unknown): FuzzedRequest {
  const query = new URLSearchParams();
  const headers: [string, string][] = [];
  let path = operation.path;
  for (const { name, in: place } of operation.parameters ?? []) {
    const given = values[name] as string | number | boolean | undefined;
    if (given === undefined) continue;
    if (place === 'path') path = path.replace(`{${name}}`, encodeURIComponent(String(given)));
    else if (place === 'query') query.append(name, String(given));
    // A header that is not ASCII cannot be sent as it is.
    else if (/^[\x21-\x7e]+$/.test(String(given))) headers.push([name, String(given)]);
  }
  const target = query.size === 0 ? path : `${path}?${query.toString()}`;
  const body = value === undefined ? null : Buffer.from(JSON.stringify(value));
  if (body !== null) headers.push(['content-type', 'application/json']);
  return {
    operation,
    method: operation.method.toUpperCase(),
    target,
    headers,
    body,
    value,
    isJson: body !== null,
  };
}
