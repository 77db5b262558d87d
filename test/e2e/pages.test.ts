import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunList } from '../../src/contract/api/runs.ts';
import {
  accessibilityFaults,
  DESKTOP,
  findBrowser,
  launchBrowser,
  openPage,
  PHONE,
} from '../support/browser.ts';
import { runCli, startCli, startWorker, type CliProcess } from '../support/cli.ts';
import { startDashboard, type TestDashboard } from '../support/dashboard-process.ts';
import { titleNeeding } from '../support/needs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createTrainingWorkspace, trainArgs, type TrainingWorkspace } from '../support/training.ts';

/** On a busy machine too. */
const SOON = { timeout: 30_000 };
/** Of 25 steps each: enough for the page to be there long before the last. */
const EPOCHS = 8;
const hasBrowser = findBrowser() !== null;

/** Of a picture that has come; 0 before. */
const widthOf = (picture: Locator) =>
  picture.evaluate((img) => (img as unknown as { naturalWidth: number }).naturalWidth);

const LOOKS: readonly (readonly [name: string, options: BrowserContextOptions])[] = [
  ['on a desktop, light', { ...DESKTOP, colorScheme: 'light' }],
  ['on a desktop, dark', { ...DESKTOP, colorScheme: 'dark' }],
  ['on a phone', { ...PHONE, colorScheme: 'light' }],
];

describe.skipIf(!hasBrowser)(titleNeeding('Chromium', hasBrowser, 'pages in a browser'), () => {
  let redis: TestRedis;
  let workspace: TrainingWorkspace;
  let dashboard: TestDashboard;
  let browser: Browser;
  let worker: CliProcess;
  let env: Record<string, string>;
  const runOf = async (kind: string): Promise<string> => {
    const { runs } = (await dashboard.get(`/api/v1/runs?kind=${kind}`)) as RunList;
    return runs[0]?.run ?? '';
  };

  beforeAll(async () => {
    redis = await startRedis();
    workspace = await createTrainingWorkspace();
    env = { ...workspace.env, REDIS_URL: redis.url };
    dashboard = await startDashboard(env);
    worker = await startWorker(env);
    browser = await launchBrowser();
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    worker?.child.kill('SIGKILL');
    await dashboard?.stop();
    await redis?.stop();
    workspace?.remove();
  });

  it('shows a training curve grow, epochs come, and any minibatch as a picture', async () => {
    const out = join(workspace.folder, 'run');
    // Nothing is to happen before the page is there to see it, however busy the machine is.
    worker.child.kill('SIGSTOP');
    const training = startCli(trainArgs(workspace.dataset, out, '--epochs', String(EPOCHS)), env);
    await expect.poll(() => runOf('train'), SOON).not.toBe('');
    const run = await runOf('train');
    const { page, faults } = await openPage(browser);
    await page.goto(`${dashboard.address}/runs/${run}`);
    worker.child.kill('SIGCONT');

    const chart = page.locator('[data-chart="loss"] canvas');
    await chart.waitFor({ timeout: 60_000 });
    const early = await chart.screenshot();
    // Without a reload.
    await expect.poll(async () => (await chart.screenshot()).equals(early), SOON).toBe(false);
    expect((await training.result).code).toBe(0);
    const rows = page.locator('[data-part="epochs"] tbody tr');
    await expect.poll(() => rows.count(), SOON).toBe(EPOCHS);
    const filters = page.locator('[data-part="filters"] img');
    await expect.poll(() => widthOf(filters), SOON).toBeGreaterThan(10);

    await page.getByRole('spinbutton', { name: 'Epoch' }).fill('2');
    await page.getByRole('spinbutton', { name: /^Step/ }).fill('7');
    await page.getByRole('button', { name: 'Draw' }).click();
    const picture = page.getByAltText(/step 7 of epoch 2/);
    await expect.poll(() => widthOf(picture), SOON).toBeGreaterThan(100);
    expect(faults, dashboard.process.stderr()).toEqual([]);
  }, 180_000);

  it('shows labels, the least confident images, errors and shards of what was labelled', async () => {
    writeFileSync(join(workspace.images, 'dots', 'broken.png'), 'no image');
    const model = join(workspace.folder, 'run', 'best.safetensors');
    const out = join(workspace.folder, 'labels');
    const { code } = await runCli(
      ['classify', workspace.images, '--model', model, '--out', out, '--top-k', '3', '--shard-size', '90'],
      env,
    );
    expect(code).toBe(3);
    const { page, faults } = await openPage(browser);
    await page.goto(`${dashboard.address}/runs/${await runOf('classify')}`);
    const pictures = page.locator('.thumbnails img');
    expect(await pictures.count()).toBe(12);
    for (const picture of await pictures.all()) {
      await picture.scrollIntoViewIfNeeded();
      await expect.poll(() => widthOf(picture), SOON).toBe(24);
    }
    const text = await page.locator('main').innerText();
    for (const shown of ['bars', 'checks', 'dots', 'IMAGE_FORMAT_UNKNOWN', 'broken.png']) {
      expect(text).toContain(shown);
    }
    // The map of shards by keyboard: five shards, one of them with an error.
    await page.getByRole('slider', { name: /^Map of shards/ }).focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    const facts = page.locator('[data-shard-facts]');
    await expect.poll(() => facts.innerText(), SOON).toMatch(/[Ss]hard 1\b.*90/s);
    expect(faults).toEqual([]);
  }, 60_000);

  it('evaluates, and lets every page be used by everyone: WCAG AA, keyboard, phone', async () => {
    const model = join(workspace.folder, 'run', 'best.safetensors');
    await runCli(
      ['evaluate', workspace.dataset, '--model', model, '--out', join(workspace.folder, 'evaluation')],
      env,
    );
    const paths = ['/runs', '/workers', '/errors', '/nowhere']
      .concat(['classify', 'prepare', 'train', 'evaluate'].map((kind) => `/submit/${kind}`))
      .concat(
        await Promise.all(
          ['classify', 'train', 'evaluate', 'prepare'].map(async (kind) => `/runs/${await runOf(kind)}`),
        ),
      );
    for (const [look, options] of LOOKS) {
      const { page } = await openPage(browser, options);
      for (const path of paths) {
        await page.goto(dashboard.address + path);
        await page.waitForLoadState('load');
        expect([look, path, await accessibilityFaults(page)]).toEqual([look, path, []]);
        const tooWide = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
        expect([look, path, tooWide]).toEqual([look, path, 0]);
      }
    }
  }, 180_000);

  it('can be read without a script', async () => {
    const { page } = await openPage(browser, { ...DESKTOP, javaScriptEnabled: false });
    await page.goto(`${dashboard.address}/runs/${await runOf('classify')}`);
    const text = await page.locator('main').innerText();
    expect(text).toContain('done');
    expect(text).toContain('IMAGE_FORMAT_UNKNOWN');
    await page.goto(`${dashboard.address}/runs/${await runOf('train')}`);
    expect(await page.locator('[data-part="epochs"] tbody tr').count()).toBe(EPOCHS);
  });

  it('reaches everything by keyboard, the content first', async () => {
    const { page } = await openPage(browser);
    await page.goto(`${dashboard.address}/runs`);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    const focused = await page.evaluate('document.activeElement.closest("main") !== null');
    expect(focused).toBe(true);
  });
});
