const IMAGE_NAME = /\.(?:jpe?g|jpe|jfif|png|webp|gif|tiff?|avif)$/i;
const SVG_NAME = /\.svgz?$/i;
const TAR_NAME = /\.tar$/i;

/** The part of a `/`-separated name after its last slash. */
export function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Whether a name ends like an image of a supported format. */
export function isImageName(name: string): boolean {
  return IMAGE_NAME.test(name);
}

export function isTarName(name: string): boolean {
  return TAR_NAME.test(name);
}

/**
 * Names that are never items, whatever `include` says: hidden and temporary files, the markers that tools leave for
 * empty folders, and SVG, which is a program for a renderer rather than an image.
 */
export function isNeverAnItem(name: string): boolean {
  return name.endsWith('/') || baseName(name).startsWith('.') || SVG_NAME.test(name);
}
