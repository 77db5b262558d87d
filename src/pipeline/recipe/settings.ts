/** `--set KEY=VALUE`: changes to a recipe, each checked against the recipe's schema. */
import { ImagemillError } from '../../contract/errors.ts';
import { recipeSchema, type Recipe } from '../../contract/recipe.ts';
import { checkRecipe, largestDivisor } from './check-recipe.ts';
import { nearestName } from './nearest-name.ts';
import { RECIPES } from './recipes.ts';
import {
  describeNeed,
  isActive,
  SETTING_FIELDS,
  valueAt,
  variantDefaults,
  type SettingField,
} from './setting-fields.ts';
import {
  describeSettingType,
  formatSettingValue,
  parseSettingValue,
  quote,
  type SettingValue,
} from './setting-value.ts';

/** A setting for help and documentation. */
export interface SettingKey {
  /** `augmentation.crop.resizeTo`. */
  readonly key: string;
  /** `a whole number from 1 to 4096`. */
  readonly expects: string;
  /** The recipe's value, as it would be typed; undefined where its variant lacks the key. */
  readonly value: string | undefined;
  /** `schedule.kind=steps`: what the key needs; undefined where it always exists. */
  readonly needs: string | undefined;
}

/** Every key that {@link applySettings} knows, in the order of the schema. */
export function settingKeys(recipe: Recipe): SettingKey[] {
  return SETTING_FIELDS.map((field) => {
    const value = isActive(field, recipe) ? valueAt(recipe, field.key) : undefined;
    return {
      key: field.key,
      expects: describeSettingType(field.type),
      value: value === undefined ? undefined : formatSettingValue(value),
      needs: field.within === undefined ? undefined : describeNeed(field.within),
    };
  });
}

interface Change {
  readonly field: SettingField;
  readonly value: SettingValue;
}

/** A recipe while it is being changed: its parts are plain objects. */
type Draft = Record<string, unknown>;

/**
 * The recipe with these settings; `source` says what differs from the recipe of that name. The order of settings does
 * not matter, except that of two for one key the later counts.
 *
 * A `kind` that differs from the recipe's starts that variant with its defaults (see `variantDefaults`). Where
 * `batchSize` is set and `microBatchSize` is not, the latter becomes the largest divisor that is not above the recipe's.
 * @param settings `KEY=VALUE`: numbers as decimals, `true` or `false`, lists and ranges separated by commas
 * @throws ImagemillError RECIPE_INVALID with every fault, and the known keys where one is unknown
 */
export function applySettings(recipe: Recipe, settings: readonly string[]): Recipe {
  const faults: string[] = [];
  const changes = readChanges(settings, faults);
  const draft = structuredClone(recipe) as Draft;
  for (const change of changes.values()) {
    if (change.field.within === undefined && change.field.chooses === undefined) put(draft, change);
  }
  for (const { field, value } of changes.values()) {
    if (field.chooses === undefined || value === valueAt(draft, field.key)) continue;
    const defaults = variantDefaults(draft as Recipe, field.chooses, String(value));
    put(draft, { field: { ...field, key: field.chooses }, value: defaults });
  }
  for (const change of changes.values()) {
    const { key, within } = change.field;
    if (within === undefined) continue;
    if (isActive(change.field, draft)) put(draft, change);
    else
      faults.push(
        `${key}: needs ${describeNeed(within)}, got ${String(valueAt(draft, `${within.part}.kind`))}`,
      );
  }
  if (faults.length > 0) throw invalid(faults);
  if (changes.has('batchSize') && !changes.has('microBatchSize')) {
    draft['microBatchSize'] = largestDivisor(Number(draft['batchSize']), recipe.microBatchSize);
  }
  return finish(recipe, draft);
}

/** The last change of every key; what cannot be read is added to `faults`. */
function readChanges(settings: readonly string[], faults: string[]): Map<string, Change> {
  const changes = new Map<string, Change>();
  const unknown: string[] = [];
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1) {
      faults.push(`expected KEY=VALUE, got ${quote(setting)}`);
      continue;
    }
    const key = setting.slice(0, equals).trim();
    const text = setting.slice(equals + 1).trim();
    const field = SETTING_FIELDS.find((candidate) => candidate.key === key);
    if (field === undefined) {
      unknown.push(key);
      continue;
    }
    const value = parseSettingValue(field.type, text);
    if (value === undefined)
      faults.push(`${key}: expected ${describeSettingType(field.type)}, got ${quote(text)}`);
    else changes.set(key, { field, value });
  }
  if (unknown.length > 0) faults.push(unknownKeys(unknown));
  return changes;
}

function unknownKeys(keys: readonly string[]): string {
  const known = SETTING_FIELDS.map(({ key }) => key);
  const named = keys.map((key) => {
    const near = nearestName(key, known);
    return `${quote(key)}${near === undefined ? '' : ` (did you mean ${near}?)`}`;
  });
  return `expected a known setting, got ${named.join(', ')}; known: ${known.join(', ')}`;
}

function put(draft: Draft, { field, value }: { field: SettingField; value: unknown }): void {
  const names = field.key.split('.');
  const last = names.pop() ?? '';
  const part = names.reduce((parent, name) => parent[name] as Draft, draft);
  part[last] = value;
}

function finish(recipe: Recipe, draft: Draft): Recipe {
  const parsed = recipeSchema.safeParse(draft);
  if (!parsed.success) {
    throw invalid(
      parsed.error.issues.map(({ path, message }) => {
        const key = path.join('.');
        return `${key}: ${message}, got ${formatSettingValue(valueAt(draft, key) ?? 'none')}`;
      }),
    );
  }
  checkRecipe(parsed.data);
  return { ...parsed.data, source: sourceOf(recipe, parsed.data) };
}

/** The source of the recipe of this name and what differs from it. */
function sourceOf(before: Recipe, after: Recipe): string {
  const named = Object.values(RECIPES).find(({ name }) => name === before.name);
  const base = named !== undefined && before.source.startsWith(named.source) ? named : before;
  const changed = SETTING_FIELDS.filter((field) => isActive(field, after)).flatMap(({ key }) => {
    const [old, now] = [base, after].map((side) => formatSettingValue(valueAt(side, key) ?? ''));
    return old === now ? [] : [`${key}=${now}`];
  });
  return changed.length === 0 ? base.source : `${base.source}; with ${changed.join(', ')}`;
}

function invalid(faults: readonly string[]): ImagemillError {
  return new ImagemillError('RECIPE_INVALID', faults.join('; '));
}
