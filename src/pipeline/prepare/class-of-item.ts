import { ImageError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import { isManifestName } from '../source/manifest-source.ts';

/** Longest name of a class, in UTF-16 units: what a file system takes as the name of a folder. */
export const MAX_CLASS_NAME_LENGTH = 255;

/** Control characters and separators of lines would break the `.cls` member, U+FFFD was not text to begin with. */
const UNREADABLE = /[\p{Cc}\p{Surrogate}\u2028\u2029\uFFFD]/u;

/**
 * The class of an item: the label that its source gives (`.cls` of a tar, `label` of a manifest), else the first
 * folder of its key, relative to the source or in its tar. White space around it does not count. In a manifest a
 * label is the only way to say it: folders there mean nothing, and guessing would mislabel in silence.
 * @param sourceUri as in the run's spec
 * @throws ImageError LABEL_MISSING, LABEL_INVALID
 */
export function classOfItem(item: Item, sourceUri: string): string {
  const label = item.label ?? folderOf(item, sourceUri);
  if (label === undefined) {
    const expected = isManifestName(sourceUri)
      ? 'a label in its row of the manifest'
      : 'a label, or a folder named after its class';
    throw new ImageError('LABEL_MISSING', `${item.uri}: expected ${expected}, got none`);
  }
  const name = label.trim();
  const fault = faultOf(name);
  if (fault === undefined) return name;
  throw new ImageError('LABEL_INVALID', `${item.uri}: expected the name of a class, got ${fault}`);
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'an empty one';
  if (name.length > MAX_CLASS_NAME_LENGTH) {
    return `one of ${name.length} characters where ${MAX_CLASS_NAME_LENGTH} are allowed`;
  }
  if (!UNREADABLE.test(name)) return undefined;
  return `one with characters that are not text: ${JSON.stringify(name)}`;
}

function folderOf(item: Item, sourceUri: string): string | undefined {
  const key = keyOf(item, sourceUri);
  const slash = key?.indexOf('/') ?? -1;
  return slash < 0 ? undefined : key?.slice(0, slash);
}

/** Key relative to the source, or the member's name in a tar; undefined for what lies elsewhere. */
function keyOf({ uri, within }: Item, sourceUri: string): string | undefined {
  if (within !== undefined) return uri.slice(within.uri.length + 1).replace(/^(?:\.\/)+/, '');
  if (isManifestName(sourceUri)) return undefined;
  // Files are named by URIs, whose escapes a spec and an item may write differently.
  const [item, source] = uri.startsWith('file:') ? [decoded(uri), decoded(sourceUri)] : [uri, sourceUri];
  const folder = source.endsWith('/') ? source : `${source}/`;
  return item.startsWith(folder) ? item.slice(folder.length) : undefined;
}

function decoded(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
