/** A test's title, which says that it is skipped, and for want of what, only where it is. */
export function titleNeeding(what: string, present: boolean, title: string): string {
  return present ? title : `${title} (skipped: needs ${what})`;
}
