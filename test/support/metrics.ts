/**
 * What a scrape got, by series as it is written (`name{label="value"}`).
 * @throws Error where the text breaks a rule of the format: a metric explained twice, a series twice, a line of neither
 */
export function metricsIn(text: string): Record<string, number> {
  const series: Record<string, number> = {};
  const explained = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (/^# (HELP|TYPE) /.test(line)) {
      const what = line.split(' ').slice(0, 3).join(' ');
      if (explained.has(what)) throw new Error(`twice: ${what}`);
      explained.add(what);
      continue;
    }
    const [, name = '', value = ''] = /^([a-z0-9_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (name === '' || name in series) throw new Error(`expected a new series, got ${line}`);
    series[name] = Number(value);
  }
  return series;
}

/** Scrapes an address. */
export async function scrape(url: string): Promise<Record<string, number>> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return metricsIn(await response.text());
}
