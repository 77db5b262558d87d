import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tidyDocument } from '../../../src/dashboard/api/tidy-document.ts';
import { operationsOf, readOpenapi, SchemaChecks } from '../../support/openapi.ts';
import { renderOpenapi } from '../../support/openapi-document.ts';

const document = readOpenapi();
const operations = operationsOf(document);

/** Every object in a JSON value that a predicate holds for, with where it is. */
function find(value: unknown, where = '#'): [where: string, node: Record<string, unknown>][] {
  if (typeof value !== 'object' || value === null) return [];
  const below = Object.entries(value).flatMap(([name, child]) => find(child, `${where}/${name}`));
  return Array.isArray(value) ? below : [[where, value as Record<string, unknown>], ...below];
}

describe('the description of the API', () => {
  it('is what docs/openapi.json says (npm run docs writes it)', async () => {
    const page = readFileSync(new URL('../../../docs/openapi.json', import.meta.url), 'utf8');
    expect(page).toBe(await renderOpenapi());
  });

  it('names every operation, once, and says what it is for', () => {
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = new Set(document.tags.map(({ name }) => name));
    for (const { operationId, summary, tags: own, responses } of operations) {
      expect(operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(summary.length, operationId).toBeGreaterThan(5);
      expect(own.length === 1 && tags.has(own[0] ?? ''), operationId).toBe(true);
      for (const [status, { description }] of Object.entries(responses)) {
        expect(description, `${operationId} ${status}`).toMatch(/\.$/);
        expect(description).not.toContain('Default');
      }
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['200', '4XX', '5XX']));
    }
  });

  it('describes every parameter of a path, and no other', () => {
    for (const { path, parameters = [] } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const described = parameters.filter((parameter) => parameter.in === 'path');
      expect(new Set(described.map(({ name }) => name)), path).toEqual(new Set(inPath));
      expect(described.every(({ required }) => required === true)).toBe(true);
    }
  });

  it('has every schema that it refers to, and none besides', () => {
    const referred = new Set<string>();
    for (const [, node] of find(document)) {
      for (const reference of [node['$ref'], node['x-event-data']]) {
        if (typeof reference === 'string') referred.add(reference.replace('#/components/schemas/', ''));
      }
    }
    expect([...referred].toSorted()).toEqual(Object.keys(document.components.schemas).toSorted());
    expect([...referred].filter((name) => name.endsWith('Input'))).toEqual([]);
  });

  it('is made of valid JSON schemas, whose examples are examples', () => {
    const checks = new SchemaChecks(document);
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      const { examples = [] } = schema as { examples?: unknown[] };
      for (const example of examples) expect(checks.fault(schema, example), name).toBeNull();
      expect(checks.fault(schema, 7), name).not.toBeNull();
    }
    const withExamples = Object.entries(document.components.schemas).filter(
      ([, schema]) => 'examples' in schema,
    );
    expect(withExamples.map(([name]) => name)).toEqual(
      expect.arrayContaining(['Problem', 'SubmitClassify', 'SubmitEvaluate', 'SubmitPrepare', 'SubmitTrain']),
    );
    for (const { operationId, parameters = [] } of operations) {
      for (const { schema } of parameters)
        expect(() => checks.fault(schema, null), operationId).not.toThrow();
    }
  });

  it('refuses unknown fields of requests, and lets answers have further ones', () => {
    const { schemas } = document.components;
    for (const name of ['SubmitClassify', 'SubmitTrain', 'RetryRequest']) {
      expect(schemas[name], name).toHaveProperty('additionalProperties', false);
    }
    for (const name of ['RunList', 'RunDetail', 'Problem', 'ShardMap', 'ResultsPage']) {
      expect(
        find(schemas[name]).filter(([, node]) => node['additionalProperties'] === false),
        name,
      ).toEqual([]);
    }
  });
});

describe('tidyDocument', () => {
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

  it('keeps what is used, under one name where one will do', () => {
    const tidied = tidyDocument({
      paths: {
        '/x': {
          post: {
            requestBody: { content: { json: { schema: ref('AInput') } } },
            responses: { 200: ref('B') },
          },
        },
      },
      components: {
        schemas: {
          A: { type: 'string' },
          AInput: { items: ref('CInput') },
          B: { items: ref('C') },
          C: {},
          CInput: {},
          D: {},
        },
      },
    });
    expect(tidied).toEqual({
      paths: {
        '/x': {
          post: { requestBody: { content: { json: { schema: ref('A') } } }, responses: { 200: ref('B') } },
        },
      },
      components: { schemas: { A: { items: ref('CInput') }, B: { items: ref('C') }, C: {}, CInput: {} } },
    });
  });

  it('leaves a document without schemas as it is', () => {
    expect(tidyDocument({ paths: {} })).toEqual({ paths: {} });
  });
});
