import { ImagemillError } from '../../contract/errors.ts';
import type { ObjectInfo, ResolvedObject, StoreResolver } from '../../storage/object-store.ts';
import { hasBraces } from './brace-expansion.ts';
import { filteredSource, type ItemFilters } from './filtered-source.ts';
import { asSourceError, asSourcePages, type Listing } from './listing.ts';
import { isManifestName, openManifest } from './manifest-source.ts';
import { isImageName, isNeverAnItem, isTarName } from './names.ts';
import { prefixListing, singleListing } from './prefix-source.ts';
import type { Source } from './source.ts';
import { isTarKey, namedTars, tarsOfPrefix } from './tar-set.ts';
import { tarListing } from './tar-source.ts';

export type SourceKind = 'prefix' | 'manifest' | 'tar';

/** A collection as the user names it. */
export interface SourceSpec extends ItemFilters {
  /** A prefix or folder, a manifest, a tar, tars in brace notation, or one image. */
  readonly uri: string;
  /** Detected from the name, and for prefixes from their first page, where undefined. */
  readonly kind?: SourceKind | undefined;
}

const COMPRESSED = /\.(?:tgz|zip|7z|(?:tar|csv|jsonl|ndjson)\.(?:gz|bz2|xz|zst))$/i;

/**
 * Opens a collection. An empty one lists nothing.
 * A prefix is taken for WebDataset tars if its first page has more tars than images and a tar before any image.
 * @throws ImagemillError SOURCE_NOT_FOUND, URI_INVALID, USAGE, and the store's errors
 */
export async function openSource(spec: SourceSpec, resolver: StoreResolver): Promise<Source> {
  const { listing } = await openListing(spec, resolver);
  return filteredSource(listing, spec);
}

/** The listing of a collection without its filters, and what kind it turned out to be. */
export async function openListing(
  spec: SourceSpec,
  resolver: StoreResolver,
): Promise<{ kind: SourceKind; listing: Listing }> {
  const { uri } = spec;
  switch (spec.kind ?? kindByName(uri)) {
    case 'manifest':
      return { kind: 'manifest', listing: await openManifest(uri, resolver) };
    case 'tar':
      return { kind: 'tar', listing: await openTars(uri, resolver) };
    case 'prefix':
      return { kind: 'prefix', listing: prefixListing(resolver.open(uri)) };
    default:
      return openUnnamed(uri, resolver);
  }
}

function kindByName(uri: string): SourceKind | undefined {
  if (COMPRESSED.test(uri)) {
    throw new ImagemillError(
      'URI_INVALID',
      `${uri}: expected an uncompressed tar or manifest, or a folder of images, since archives are read by ranges`,
    );
  }
  if (isManifestName(uri)) return 'manifest';
  return isTarName(uri) ? 'tar' : undefined;
}

async function openTars(uri: string, resolver: StoreResolver): Promise<Listing> {
  if (!isTarName(uri)) return tarListing(tarsOfPrefix(resolver.open(uri)));
  const { store, key } = resolver.resolve(uri);
  const isLiteral = !hasBraces(key) || (await headObject({ store, key }, uri)) !== null;
  const tars = namedTars(store, key, isLiteral);
  // Opens the first tar, so that a wrong address is told here and not in the middle of a plan.
  for await (const _first of tars.from(undefined)) break;
  return tarListing(tars);
}

/** What a name alone does not tell: one image, a prefix of images, or a prefix of tars. */
async function openUnnamed(
  uri: string,
  resolver: StoreResolver,
): Promise<{ kind: SourceKind; listing: Listing }> {
  if (isImageName(uri)) {
    const image = await findObject(uri, resolver);
    if (image !== null) return { kind: 'prefix', listing: image };
  }
  const store = resolver.open(uri);
  const first = await firstPage(uri, resolver);
  if (first !== null && first.length > 0) {
    return holdsTars(first)
      ? { kind: 'tar', listing: tarListing(tarsOfPrefix(store)) }
      : { kind: 'prefix', listing: prefixListing(store) };
  }
  const object = await findObject(uri, resolver);
  if (object !== null) return { kind: 'prefix', listing: object };
  if (first === null || isImageName(uri)) {
    throw new ImagemillError('SOURCE_NOT_FOUND', `expected images at ${uri}, found nothing there`);
  }
  return { kind: 'prefix', listing: prefixListing(store) };
}

/** The first page of a prefix, empty where nothing is below it, null where it does not exist. */
async function firstPage(uri: string, resolver: StoreResolver): Promise<ObjectInfo[] | null> {
  try {
    for await (const page of asSourcePages(resolver.open(uri).list(''), uri)) return page;
    return [];
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'SOURCE_NOT_FOUND') return null;
    throw error;
  }
}

function holdsTars(page: readonly ObjectInfo[]): boolean {
  const tars = page.filter(({ key }) => isTarKey(key));
  const images = page.filter(({ key }) => isImageName(key) && !isNeverAnItem(key));
  const [firstTar] = tars;
  const [firstImage] = images;
  if (firstTar === undefined || tars.length <= images.length) return false;
  return firstImage === undefined || page.indexOf(firstTar) < page.indexOf(firstImage);
}

/** One object that the URI names; null where there is none, as for every folder. */
async function findObject(uri: string, resolver: StoreResolver): Promise<Listing | null> {
  if (uri.endsWith('/')) return null;
  const located = locate(uri, resolver);
  const object = located === null ? null : await headObject(located, uri);
  return located === null || object === null ? null : singleListing(located.store, object);
}

/** Where the object of this URI would be; null where it can only be a folder, as for a whole bucket. */
function locate(uri: string, resolver: StoreResolver): ResolvedObject | null {
  try {
    return resolver.resolve(uri);
  } catch (error) {
    if (error instanceof ImagemillError && error.code === 'URI_INVALID') return null;
    throw error;
  }
}

async function headObject({ store, key }: ResolvedObject, uri: string): Promise<ObjectInfo | null> {
  try {
    return await store.head(key);
  } catch (error) {
    throw asSourceError(error, uri);
  }
}
