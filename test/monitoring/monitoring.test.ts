import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentedMetrics } from '../support/documented-metrics.ts';
import { findCompose } from '../support/fleet.ts';
import { titleNeeding } from '../support/needs.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}
interface Board {
  readonly uid: string;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly Panel[];
}

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MONITORING = join(ROOT, 'infra/monitoring');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const rules = read('infra/monitoring/rules/imagemill.yml');
const board = JSON.parse(read('infra/monitoring/grafana/imagemill.json')) as Board;
const page = read('docs/monitoring.md');
const panels = board.panels.filter(({ type }) => type !== 'row');
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

const metrics = documentedMetrics(page);
const histograms = ['imagemill_job_seconds', 'imagemill_dashboard_http_seconds'];
/** Prometheus adds these. */
const ADDED_LABELS = ['instance', 'job'];

const baseOf = (name: string) => histograms.find((base) => name === `${base}_bucket`) ?? name;
const metricsIn = (text: string) =>
  new Set([...text.matchAll(/\bimagemill_\w+/g)].map(([name]) => baseOf(name)));
const alerts = [...rules.matchAll(/^ *- alert: (\w+)$/gm)].map(([, name = '']) => name);
const recorded = [...rules.matchAll(/^ *- record: (\S+)$/gm)].map(([, name = '']) => name);

function hasPromtool(): boolean {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const present = hasPromtool();
const compose = findCompose();

describe('the page on monitoring', () => {
  it('has every metric that rules and dashboard use, and no other', () => {
    expect(metrics.size).toBeGreaterThan(20);
    const used = metricsIn([rules, ...queries].join('\n'));
    expect([...used].toSorted()).toEqual([...metrics.keys()].toSorted());
    for (const name of readdirSync(join(MONITORING, 'rules')).filter((file) => file.endsWith('.test.yml'))) {
      const tested = metricsIn(read(`infra/monitoring/rules/${name}`));
      expect([...tested].filter((metric) => !metrics.has(metric))).toEqual([]);
    }
  });

  it('has every label that is selected', () => {
    const selectors = [...[rules, ...queries].join('\n').matchAll(/\b(imagemill_\w+)\{([^}]*)\}/g)];
    expect(selectors.length).toBeGreaterThan(10);
    for (const [selector, name = '', labels = ''] of selectors) {
      const known = [...(metrics.get(baseOf(name))?.labels ?? []), ...ADDED_LABELS];
      for (const [, label] of labels.matchAll(/(\w+)[=!]/g)) expect(known, selector).toContain(label);
    }
  });

  it('says what to do at every alert', () => {
    const rows = [...page.matchAll(/^\| `(Imagemill\w+)` +\|[^|]+\| *(\S[^|]+\S) *\|$/gm)];
    expect(alerts.length).toBeGreaterThan(10);
    expect(rows.map(([, name = '']) => name).toSorted()).toEqual(alerts.toSorted());
    for (const [, , advice = ''] of rows) expect(advice.length).toBeGreaterThan(30);
  });
});

describe('the dashboard of Grafana', () => {
  it('can be imported: whoever does so chooses the data source', () => {
    expect(board.templating.list).toMatchObject([{ name: 'datasource', type: 'datasource' }]);
    for (const { title, datasource } of panels) {
      expect(datasource, title).toEqual({ type: 'prometheus', uid: '${datasource}' });
    }
  });

  it('has panels that ask for something, each in a place and under an id of its own', () => {
    const ids = board.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const places = new Set<string>();
    for (const { title, targets = [], gridPos } of panels) {
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(places.has(`${x},${y}`), title).toBe(false);
          places.add(`${x},${y}`);
        }
      }
    }
  });

  it('uses recorded series that are recorded', () => {
    const used = queries.flatMap((query) => query.match(/\bimagemill:[\w:]+/g) ?? []);
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((name) => !recorded.includes(name))).toEqual([]);
  });
});

describe.skipIf(!present)(titleNeeding('promtool', present, 'for Prometheus'), () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'imagemill-test-monitoring-'));
    cpSync(MONITORING, folder, { recursive: true });
    mkdirSync(join(folder, 'secrets'), { recursive: true });
    writeFileSync(join(folder, 'secrets', 'dashboard-token'), 'token');
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('the configuration is sound', async () => {
    const { stdout } = await run('promtool', ['check', 'config', 'prometheus.yml'], { cwd: folder });
    expect(stdout).toMatch(/SUCCESS: prometheus.yml is valid prometheus config file/);
    expect(stdout).toContain(`SUCCESS: ${alerts.length + recorded.length} rules found`);
  });

  it('the queries of the dashboard of Grafana are sound', async () => {
    const checked = queries.map((query, index) => ({
      record: `panel:query_${index}`,
      expr: query.replaceAll('$__rate_interval', '1m'),
    }));
    const file = join(folder, 'queries.yml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules: checked }] }));
    const { stdout } = await run('promtool', ['check', 'rules', file]);
    expect(stdout).toContain(`SUCCESS: ${queries.length} rules found`);
  });

  // promtool plays through hours, which takes a busy machine more than half a minute.
  it('every alert fires when it should, and at no other time', { timeout: 120_000 }, async () => {
    const files = readdirSync(join(folder, 'rules')).filter((name) => name.endsWith('.test.yml'));
    const { stdout } = await run('promtool', ['test', 'rules', ...files], { cwd: join(folder, 'rules') });
    expect(stdout.match(/SUCCESS/g)?.length).toBe(files.length);
    const cases = files.map((name) => readFileSync(join(folder, 'rules', name), 'utf8')).join('\n');
    for (const alert of alerts) {
      const expected = [...cases.matchAll(new RegExp(`alertname: ${alert}\\n +exp_alerts:(.*)$`, 'gm'))];
      expect(expected.filter(([, alerted]) => alerted === '').length, alert).toBeGreaterThan(0);
      expect(expected.filter(([, alerted]) => alerted === ' []').length, alert).toBeGreaterThan(0);
    }
  });
});

it.skipIf(compose === null)(
  titleNeeding('Docker Compose', compose !== null, 'Compose accepts what is laid over the fleet'),
  async () => {
    const [command = '', ...before] = compose ?? [];
    const files = ['-f', 'docker-compose.yml', '-f', 'infra/monitoring/compose.yml'];
    const secrets = [
      'REDIS_PASSWORD',
      'S3_ACCESS_KEY',
      'S3_SECRET_KEY',
      'DASHBOARD_TOKEN',
      'GRAFANA_PASSWORD',
    ];
    const env = { ...process.env, ...Object.fromEntries(secrets.map((name) => [name, 'x'])) };
    const { stdout } = await run(command, [...before, ...files, 'config'], { cwd: ROOT, env });
    for (const expected of ['9464', 'http://traces:4318', 'prom/prometheus:v', 'grafana/grafana:']) {
      expect(stdout).toContain(expected);
    }
    // Of the fleet's own settings none is lost.
    expect(stdout).toContain('redis://imagemill:x@redis:6379');
  },
);
