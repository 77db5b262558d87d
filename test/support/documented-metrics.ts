export interface DocumentedMetric {
  /** Sorted. */
  readonly labels: string[];
  /** `worker` or `dashboard`. */
  readonly from: string;
}

/** The metrics of docs/monitoring.md, by name. */
export function documentedMetrics(page: string): Map<string, DocumentedMetric> {
  const rows = page.matchAll(/^\| `(imagemill_\w+)` +\| ([^|]*)\| (\w+) *\|.*$/gm);
  return new Map(
    [...rows].map(([, name = '', labels = '', from = '']) => [
      name,
      { labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label).toSorted(), from },
    ]),
  );
}
