const COMPONENT = '#/components/schemas/';
const OF_REQUEST = 'Input';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonObject = { [name: string]: Json };

/**
 * An OpenAPI document with the schemas it uses, and no others. Of every schema that has a name there are two: as it is
 * sent (`…Input`, before defaults are filled in) and as it is answered. Where only the first is used it gets the name.
 */
export function tidyDocument<D extends object>(document: D): D {
  const tidied = structuredClone(document) as unknown as JsonObject;
  const { schemas } = (tidied['components'] ?? {}) as { schemas?: JsonObject };
  if (schemas === undefined) return document;
  const used = usedComponents(tidied, schemas);
  const names = new Map<string, string>();
  for (const name of used) {
    const plain = name.endsWith(OF_REQUEST) ? name.slice(0, -OF_REQUEST.length) : name;
    names.set(name, used.has(plain) ? name : plain);
  }
  const kept = [...used].toSorted().flatMap((name): [string, Json][] => {
    const schema = schemas[name];
    if (schema === undefined) return [];
    return [[names.get(name) ?? name, name.endsWith(OF_REQUEST) ? schema : opened(schema)]];
  });
  const components = { ...(tidied['components'] as JsonObject), schemas: Object.fromEntries(kept) };
  makeBodiesOptional(tidied);
  return renamed({ ...tidied, components }, names) as unknown as D;
}

/** Names of components that anything but components refers to, and of those that these refer to. */
function usedComponents(document: JsonObject, schemas: JsonObject): Set<string> {
  const { components: _components, ...rest } = document;
  const used = new Set<string>();
  const visit = (value: Json): void => {
    for (const name of referencesOf(value)) {
      if (used.has(name)) continue;
      used.add(name);
      visit(schemas[name] ?? null);
    }
  };
  visit(rest);
  return used;
}

function referencesOf(value: Json): string[] {
  if (typeof value === 'string') return value.startsWith(COMPONENT) ? [value.slice(COMPONENT.length)] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(referencesOf);
}

function renamed(value: Json, names: ReadonlyMap<string, string>): Json {
  if (typeof value === 'string') {
    const name = value.startsWith(COMPONENT) ? names.get(value.slice(COMPONENT.length)) : undefined;
    return name === undefined ? value : COMPONENT + name;
  }
  if (Array.isArray(value)) return value.map((entry) => renamed(entry, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, renamed(entry, names)]));
}

/** An answer may get further fields: a client that refuses them would break with the next version. */
function opened(value: Json): Json {
  if (Array.isArray(value)) return value.map(opened);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([name, entry]) =>
      !(name === 'additionalProperties' && entry === false) &&
      // Few validators know the classes of Unicode.
      !(name === 'pattern' && typeof entry === 'string' && /\\p\{/i.test(entry)),
  );
  return Object.fromEntries(entries.map(([name, entry]) => [name, opened(entry)]));
}

/** A body that may be null may be left out; the document has another word for that. */
function makeBodiesOptional({ paths }: JsonObject): void {
  for (const methods of Object.values((paths ?? {}) as Record<string, JsonObject>)) {
    for (const operation of Object.values(methods)) {
      const body = (operation as JsonObject)['requestBody'] as JsonObject | undefined;
      for (const media of Object.values((body?.['content'] ?? {}) as Record<string, JsonObject>)) {
        const { anyOf } = media['schema'] as { anyOf?: JsonObject[] };
        const [schema, ...others] = anyOf ?? [];
        if (body === undefined || schema === undefined || others[0]?.['type'] !== 'null') continue;
        body['required'] = false;
        media['schema'] = schema;
      }
    }
  }
}
