import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBrowser, launchBrowser, openPage } from '../support/browser.ts';
import { startWorker, type CliProcess } from '../support/cli.ts';
import { startDashboard, type TestDashboard } from '../support/dashboard-process.ts';
import { titleNeeding } from '../support/needs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const SOON = { timeout: 30_000 };
const hasBrowser = findBrowser() !== null;
const IMAGES = 600;

describe.skipIf(!hasBrowser)(titleNeeding('Chromium', hasBrowser, 'submitting runs in a browser'), () => {
  let redis: TestRedis;
  let workspace: Workspace;
  let dashboard: TestDashboard;
  let browser: Browser;
  let worker: CliProcess;
  let env: Record<string, string>;

  beforeAll(async () => {
    redis = await startRedis();
    workspace = await createWorkspace(IMAGES);
    writeFileSync(join(workspace.images, 'broken.png'), 'no image');
    env = { ...workspace.env, REDIS_URL: redis.url };
    dashboard = await startDashboard(env);
    worker = await startWorker(env);
    browser = await launchBrowser();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    worker?.child.kill('SIGKILL');
    await dashboard?.stop();
    await redis?.stop();
    workspace?.remove();
  });

  it('submits a run in the form, watches it move, and sees its labels and errors', async () => {
    const { page, faults } = await openPage(browser);
    await page.goto(`${dashboard.address}/`);
    await page.getByRole('link', { name: 'Submit a run' }).click();
    await page.getByLabel('Source').fill(workspace.images);
    await page.getByLabel('Model').fill(workspace.model);
    await page.getByLabel('Output').fill(join(workspace.folder, 'labels'));
    await page.getByText('More options').click();
    await page.getByLabel('Images per job').fill('50');
    await page.getByRole('button', { name: 'Submit' }).click();

    await page.waitForURL(/\/runs\/r-[0-9A-Z]{26}$/);
    const run = page.url().split('/').at(-1) ?? '';
    const progress = page.locator('progress[data-field="progress"]').first();
    const seen = new Set<number>();
    await expect
      .poll(
        async () => {
          seen.add(Number(await progress.getAttribute('value').catch(() => '0')));
          return page.locator('[data-field="state"]').first().textContent();
        },
        { timeout: 60_000, interval: 50 },
      )
      .toBe('done');
    // Without a reload: the page has moved by itself.
    expect(seen.size).toBeGreaterThan(1);

    await page.goto(`${dashboard.address}/runs`);
    const row = page.locator(`tr[data-run="${run}"]`);
    await expect.poll(() => row.locator('[data-field="errors"]').textContent(), SOON).toBe('1');
    expect(await row.locator('[data-field="items"]').textContent()).toBe(`${IMAGES + 1} of ${IMAGES + 1}`);
    expect(faults).toEqual([]);
  }, 120_000);

  it('tells beside the field what is wrong, as the command line does, and submits nothing', async () => {
    const { page } = await openPage(browser);
    await page.goto(`${dashboard.address}/submit/classify`);
    await page.getByLabel('Source').fill(join(workspace.folder, 'nothing-here'));
    await page.getByLabel('Model').fill(workspace.model);
    await page.getByLabel('Output').fill(join(workspace.folder, 'elsewhere'));
    await page.getByLabel('Classes per image').fill('0');
    await page.getByRole('button', { name: 'Submit' }).click();
    const alert = page.getByRole('alert');
    expect(await alert.textContent()).toContain('expected a whole number from 1 to 1000, got 0');
    // What was typed is still there.
    expect(await page.getByLabel('Source').inputValue()).toBe(join(workspace.folder, 'nothing-here'));

    await page.getByLabel('Classes per image').fill('3');
    await page.getByRole('button', { name: 'Submit' }).click();
    expect(await page.locator('#field-source-fault').textContent()).toContain('[SOURCE_NOT_FOUND]');
    expect(await page.getByLabel('Source').getAttribute('aria-invalid')).toBe('true');
    const { matching } = (await dashboard.get('/api/v1/runs?text=elsewhere')) as { matching: number };
    expect(matching).toBe(0);
  });

  it('cancels a run', async () => {
    const slow = join(workspace.folder, 'many');
    mkdirSync(slow);
    // Planned, but nobody works at it: the worker has ended.
    worker.child.kill('SIGTERM');
    await worker.result;
    const { page } = await openPage(browser);
    await page.goto(
      `${dashboard.address}/submit/classify?${new URLSearchParams({
        source: workspace.images,
        model: workspace.model,
        out: join(workspace.folder, 'cancelled'),
      }).toString()}`,
    );
    await page.getByRole('button', { name: 'Submit' }).click();
    await page.waitForURL(/\/runs\/r-/);
    page.on('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect
      .poll(() => page.locator('[data-field="state"]').first().textContent(), SOON)
      .toBe('cancelled');
  });
});
