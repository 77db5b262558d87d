import { submitRunSchema, type SubmitRun } from '../../../contract/api/submit.ts';
import {
  parseChoice,
  parseInstant,
  parseShare,
  parseWholeNumber,
  type Parsed,
} from '../../../contract/option-values.ts';
import { firstOf, type FormFields } from '../form-body.ts';
import { FORM_FIELDS, type FormField, type RunKind } from './form-fields.ts';

/** What is wrong, by the name of the field; under `''` what belongs to none. */
export type FieldFaults = Readonly<Record<string, string>>;

export type ReadForm = { readonly request: SubmitRun } | { readonly faults: FieldFaults };

/** The request that a filled-in form stands for, or every fault of it at once. */
export function readForm(kind: RunKind, fields: FormFields): ReadForm {
  const values: Record<string, unknown> = { kind };
  const faults: Record<string, string> = {};
  for (const field of FORM_FIELDS[kind]) {
    const text = firstOf(fields, field.name)?.trim() ?? '';
    if (text === '' && field.type !== 'flag') {
      if (field.isRequired === true) faults[field.name] = `expected ${field.hint ?? 'a value'}, got nothing`;
      continue;
    }
    const parsed = readField(field, text);
    if ('fault' in parsed) faults[field.name] = parsed.fault;
    else values[field.name] = parsed.value;
  }
  const result = submitRunSchema.safeParse(values);
  if (!result.success) {
    for (const { path, message } of result.error.issues) faults[String(path[0] ?? '')] ??= message;
  }
  if (Object.keys(faults).length > 0 || !result.success) return { faults };
  return { request: result.data };
}

function readField(field: FormField, text: string): Parsed<unknown> {
  switch (field.type) {
    case 'integer':
      return parseWholeNumber(text, field.minimum, field.maximum);
    case 'share':
      return parseShare(text, field.maximum);
    case 'choice':
      return parseChoice(text, field.choices);
    case 'number-choice': {
      const parsed = parseChoice(text, field.choices);
      return 'fault' in parsed ? parsed : { value: Number(parsed.value) };
    }
    case 'time': {
      const parsed = parseInstant(text);
      return 'fault' in parsed ? parsed : { value: parsed.value.toISOString() };
    }
    case 'flag':
      return { value: text !== '' };
    case 'lines':
      return {
        value: text
          .split(/\r?\n/)
          .map((line) => line.trim())
          .filter((line) => line !== ''),
      };
    default:
      return { value: text };
  }
}

/** The field that a fault of the submission is about, by its code. */
const FIELD_OF_CODE: readonly (readonly [pattern: RegExp, fields: readonly string[]])[] = [
  [/^(SOURCE_|MANIFEST_|TAR_|ITEM_)/, ['source', 'dataset']],
  [/^MODEL_LABELS/, ['labels', 'model']],
  [/^MODEL_/, ['model', 'init']],
  [/^DATASET_/, ['dataset']],
  [/^RECIPE_/, ['settings']],
  [/^OUTPUT_/, ['out']],
];

/** Where a fault of the submission is shown: beside its field, or above the form. */
export function fieldOfFault(kind: RunKind, code: string, message: string): string {
  const names = FORM_FIELDS[kind].map(({ name }) => name);
  const named = names.find((name) => message.startsWith(`${name}: `));
  if (named !== undefined) return named;
  const [, fields] = FIELD_OF_CODE.find(([pattern]) => pattern.test(code)) ?? [];
  return fields?.find((name) => names.includes(name)) ?? '';
}
