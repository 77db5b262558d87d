/** The settings of a recipe, read off its schema, so that the two cannot drift apart. */
import { z } from 'zod';
import { recipeSchema, type Augmentation, type Recipe, type Schedule } from '../../contract/recipe.ts';
import { createArchitecture } from '../model/architectures.ts';
import { RANDOM_RESIZED_CROP } from './recipes.ts';
import type { SettingType, SettingValue } from './setting-value.ts';

/** Says what a recipe is and where it comes from; not for a user to set. */
const NOT_SETTINGS: readonly string[] = ['name', 'source'];

/** What tells the variants of a part of the recipe apart. */
const DISCRIMINATOR = 'kind';

export interface SettingField {
  /** Path in the recipe: `learningRate`, `augmentation.crop.resizeTo`. */
  readonly key: string;
  readonly type: SettingType;
  /** Path of the part whose variant this chooses: `schedule` for `schedule.kind`. */
  readonly chooses?: string;
  /** The field exists where the part at `part` is one of `kinds` only. */
  readonly within?: { readonly part: string; readonly kinds: readonly string[] };
}

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** Every setting of every variant, in the order of the schema. */
export const SETTING_FIELDS: readonly SettingField[] = fieldsOf(z.toJSONSchema(recipeSchema), '', undefined);

function fieldsOf(schema: JsonSchema, path: string, within: SettingField['within']): SettingField[] {
  if (schema.oneOf !== undefined) return variantFields(schema.oneOf, path);
  if (schema.properties === undefined) {
    return [{ key: path, type: typeOf(schema, path), ...(within === undefined ? {} : { within }) }];
  }
  return Object.entries(schema.properties as Record<string, JsonSchema>)
    .filter(([name]) => path !== '' || !NOT_SETTINGS.includes(name))
    .flatMap(([name, property]) => fieldsOf(property, path === '' ? name : `${path}.${name}`, within));
}

/** The fields of a union: its discriminator, then every field once, with the variants that have it. */
function variantFields(variants: readonly JsonSchema[], part: string): SettingField[] {
  const fields = new Map<string, SettingField>();
  const options: string[] = [];
  for (const variant of variants) {
    const { [DISCRIMINATOR]: tag, ...others } = (variant.properties ?? {}) as Record<string, JsonSchema>;
    const kind = String(tag?.const);
    options.push(kind);
    for (const field of fieldsOf({ ...variant, properties: others }, part, { part, kinds: [kind] })) {
      const kinds = [...(fields.get(field.key)?.within?.kinds ?? []), kind];
      fields.set(field.key, { ...field, within: { part, kinds } });
    }
  }
  return [
    { key: `${part}.${DISCRIMINATOR}`, type: { kind: 'choice', options }, chooses: part },
    ...fields.values(),
  ];
}

function typeOf(schema: JsonSchema, path: string): SettingType {
  if (schema.enum !== undefined) return { kind: 'choice', options: schema.enum.map(String) };
  if (schema.type === 'boolean') return { kind: 'boolean' };
  if (schema.type === 'number' || schema.type === 'integer') {
    const { minimum, exclusiveMinimum, maximum } = schema;
    return {
      kind: 'number',
      integer: schema.type === 'integer',
      minimum,
      exclusiveMinimum: typeof exclusiveMinimum === 'number' ? exclusiveMinimum : undefined,
      // What zod gives an integer without a maximum.
      maximum: maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum,
    };
  }
  if (schema.type === 'array') {
    const items = schema.prefixItems as JsonSchema[] | undefined;
    if (items === undefined) return { kind: 'list' };
    return { kind: 'tuple', items: items.map((item) => typeOf(item, path)) };
  }
  throw new RangeError(`${path}: no setting can have the type ${JSON.stringify(schema)}`);
}

/**
 * What a part of the recipe starts with when its variant is chosen.
 * plateau: a tenth after 5 epochs, 3 times. steps: a tenth every 30 epochs. cosine: down to 0. random-crop and
 * center-crop: the `resizeTo` there was, else the short side of the architecture's own preprocessing.
 * random-resized-crop: torchvision's area and aspect ratio.
 */
export function variantDefaults(recipe: Recipe, part: string, kind: string): Record<string, SettingValue> {
  const schedules: { readonly [K in Schedule['kind']]: Extract<Schedule, { kind: K }> } = {
    constant: { kind: 'constant' },
    plateau: { kind: 'plateau', factor: 0.1, patience: 5, drops: 3 },
    steps: { kind: 'steps', factor: 0.1, epochs: 30 },
    cosine: { kind: 'cosine', final: 0 },
  };
  const resizeTo = resizeToOf(recipe);
  type Crop = Augmentation['crop'];
  const crops: { readonly [K in Crop['kind']]: Extract<Crop, { kind: K }> } = {
    'random-crop': { kind: 'random-crop', resizeTo },
    'random-resized-crop': { kind: 'random-resized-crop', ...RANDOM_RESIZED_CROP },
    'center-crop': { kind: 'center-crop', resizeTo },
  };
  const parts: Readonly<Record<string, Readonly<Record<string, Schedule | Crop>>>> = {
    schedule: schedules,
    'augmentation.crop': crops,
  };
  const defaults = parts[part]?.[kind];
  if (defaults === undefined) throw new RangeError(`${part}: no defaults for "${kind}"`);
  return { ...defaults };
}

function resizeToOf({ architecture, augmentation: { crop } }: Recipe): number {
  if (crop.kind !== 'random-resized-crop') return crop.resizeTo;
  const { preprocessing } = createArchitecture(architecture, { classes: 1 });
  return preprocessing.resize.kind === 'short-side' ? preprocessing.resize.size : preprocessing.crop.height;
}

/** What stands at a key of a recipe; undefined where its variant lacks the key. */
export function valueAt(recipe: object, key: string): SettingValue | undefined {
  let value: unknown = recipe;
  for (const name of key.split('.')) value = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  return value as SettingValue | undefined;
}

/** Whether the recipe's variants have this field. */
export function isActive(field: SettingField, recipe: object): boolean {
  return (
    field.within === undefined ||
    field.within.kinds.includes(String(valueAt(recipe, `${field.within.part}.${DISCRIMINATOR}`)))
  );
}

/** `schedule.kind=plateau or steps`: what a field of a variant needs. */
export function describeNeed({ part, kinds }: NonNullable<SettingField['within']>): string {
  return `${part}.${DISCRIMINATOR}=${kinds.join(' or ')}`;
}
