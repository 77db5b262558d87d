import type { Item } from '../../contract/item.ts';
import type { ItemReader } from '../../pipeline/source/item-reader.ts';

/** An image that no sound process dies of: 8 × 8 pixels of one colour. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAMAAADz0U65AAAAA1BMVEV4glp/k0YRAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVQI12NgoA4AAABIAAH/myMhAAAAAElFTkSuQmCC',
  'base64',
);

export const HARMLESS_ITEM: Item = { uri: 'imagemill:harmless.png', label: 'harmless' };

/** Reads {@link HARMLESS_ITEM}, whatever it is asked for. */
export const HARMLESS_READER: ItemReader = { read: async () => PNG };
