import { z } from 'zod';
import { ImagemillError } from '../../contract/errors.ts';
import type { Item } from '../../contract/item.ts';
import { asSourceError, PAGE_ITEMS, parsePosition, type ListedItem, type Listing } from './listing.ts';
import { baseName, isImageName, isNeverAnItem } from './names.ts';
import { RangeReader } from './range-reader.ts';
import { readTarMember, type TarMember } from './tar-members.ts';
import type { TarObject, TarSet } from './tar-set.ts';

/** Largest `.cls` member, in bytes, and longest label in it, in characters (what a shard document accepts). */
const MAX_LABEL_BYTES = 4 * 1024;
const MAX_LABEL_LENGTH = 1_024;
/** Members of one group, at most; further ones make another group. WebDataset groups hold a handful. */
const MAX_GROUP_MEMBERS = 1_000;

/** The tar, the offset of a group in it, and how many of the group's images were listed. */
const positionSchema = z.tuple([
  z.union([z.string(), z.number()]),
  z.number().int().nonnegative(),
  z.number().int().nonnegative(),
]);

/** Consecutive members with one key, as WebDataset groups them. */
interface Group {
  /** Offset of the first member's headers. */
  readonly start: number;
  readonly images: TarMember[];
  label: string | undefined;
}

/**
 * Lists the images of WebDataset tars by reading headers only. A member's key is its folder and its base name up to
 * the first dot; `<key>.cls` is the label of the images with that key. Links are not followed.
 */
export function tarListing(tars: TarSet): Listing {
  return {
    async *list(position, signal) {
      const [firstTar, firstOffset, listed] =
        position === undefined ? [undefined, 0, 0] : parsePosition(positionSchema, position);
      let page: ListedItem[] = [];
      for await (const tar of tars.from(firstTar, signal)) {
        const offset = tar.position === firstTar ? firstOffset : 0;
        for await (const group of readGroups(tar, offset, signal)) {
          const isResumed = tar.position === firstTar && group.start === firstOffset;
          for (const entry of listGroup(tar, group).slice(isResumed ? listed : 0)) {
            page.push(entry);
            if (page.length < PAGE_ITEMS) continue;
            yield page;
            page = [];
          }
        }
      }
      if (page.length > 0) yield page;
    },
  };
}

function listGroup(tar: TarObject, group: Group): ListedItem[] {
  const tarUri = tar.store.uriOf(tar.key);
  return group.images.map(({ name, offset, bytes }, index) => {
    const item: Item = { uri: `${tarUri}#${name}`, bytes, within: { uri: tarUri, offset, bytes } };
    if (group.label !== undefined) item.label = group.label;
    return {
      item,
      name: name.replace(/^(?:\.\/)+/, ''),
      position: [tar.position, group.start, index + 1],
    };
  });
}

async function* readGroups(
  tar: TarObject,
  start: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Group> {
  const reader = new RangeReader(tar.store, tar.key, tar.bytes, signal);
  let offset = start;
  let key: string | undefined;
  let members = 0;
  let group: Group = { start, images: [], label: undefined };
  for (;;) {
    signal?.throwIfAborted();
    const member = await readTarMember(reader, offset).catch((error: unknown) => {
      throw asSourceError(error, reader.uri);
    });
    if (member === null) break;
    if (member.isFile && !isNeverAnItem(member.name)) {
      const { key: memberKey, field } = splitName(member.name);
      if (memberKey !== key || members === MAX_GROUP_MEMBERS) {
        if (group.images.length > 0) yield group;
        group = { start: offset, images: [], label: undefined };
        key = memberKey;
        members = 0;
      }
      members += 1;
      if (isImageName(member.name)) group.images.push(member);
      // Read at once: the body is most likely in the block that held its header.
      if (field === 'cls') group.label = await readLabel(reader, member);
    }
    offset = member.next;
  }
  if (group.images.length > 0) yield group;
}

function splitName(name: string): { key: string; field: string } {
  const base = baseName(name);
  const dot = base.indexOf('.');
  const key = dot < 0 ? name : name.slice(0, name.length - base.length + dot);
  return { key, field: dot < 0 ? '' : base.slice(dot + 1) };
}

async function readLabel(reader: RangeReader, member: TarMember): Promise<string | undefined> {
  const where = `${reader.uri} at byte ${member.offset}`;
  if (member.bytes > MAX_LABEL_BYTES) {
    throw new ImagemillError(
      'TAR_INVALID',
      `${where}: expected a label of at most ${MAX_LABEL_BYTES} bytes in ${member.name}, got ${member.bytes}`,
    );
  }
  const label = new TextDecoder().decode(await reader.read(member.offset, member.bytes)).trim();
  if (label.length > MAX_LABEL_LENGTH) {
    throw new ImagemillError(
      'TAR_INVALID',
      `${where}: expected a label of at most ${MAX_LABEL_LENGTH} characters in ${member.name}, got ${label.length}`,
    );
  }
  return label === '' ? undefined : label;
}
