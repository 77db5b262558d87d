import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBrowser, launchBrowser, openPage } from '../support/browser.ts';
import { startDashboard, type TestDashboard } from '../support/dashboard-process.ts';
import { titleNeeding } from '../support/needs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { createWorkspace, type Workspace } from '../support/workspace.ts';

const hasBrowser = findBrowser() !== null;
const TOKEN = 'an-operator-token-of-length';
const VIEWER_TOKEN = 'a-viewer-token-of-length';

describe.skipIf(!hasBrowser)(titleNeeding('Chromium', hasBrowser, 'signing in with a browser'), () => {
  let redis: TestRedis;
  let workspace: Workspace;
  let dashboard: TestDashboard;
  let browser: Browser;

  beforeAll(async () => {
    redis = await startRedis();
    workspace = await createWorkspace(1);
    const tokens = { IMAGEMILL_TOKEN: TOKEN, IMAGEMILL_VIEWER_TOKEN: VIEWER_TOKEN };
    dashboard = await startDashboard({ ...workspace.env, REDIS_URL: redis.url, ...tokens });
    browser = await launchBrowser();
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await dashboard?.stop();
    await redis?.stop();
    workspace?.remove();
  });

  const signIn = async (token: string, path = '/runs') => {
    const { page, faults } = await openPage(browser);
    await page.goto(dashboard.address + path);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    return { page, faults };
  };

  it('asks for a token first, and goes on to where one wanted to', async () => {
    const { page, faults } = await signIn(TOKEN, '/submit/train');
    await page.waitForURL(`${dashboard.address}/submit/train`);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Submit a run');
    expect(faults).toEqual([]);
  });

  it('refuses a wrong token, every page, the API, the queues and the metrics without one', async () => {
    const { page } = await signIn('a-token-that-is-wrong');
    expect(await page.getByRole('alert').textContent()).toContain('Expected a token');
    expect(await page.context().cookies()).toEqual([]);
    for (const path of ['/runs', '/workers', '/queues', '/queues/api/queues', '/api/v1/runs', '/metrics']) {
      const response = await fetch(dashboard.address + path, { redirect: 'manual' });
      expect([path, response.status]).toEqual([path, 401]);
    }
  });

  it('keeps the session from scripts, and ends it', async () => {
    const { page } = await signIn(TOKEN);
    await page.waitForURL(`${dashboard.address}/runs`);
    const [cookie] = await page.context().cookies();
    expect(cookie).toMatchObject({ name: 'imagemill_session', httpOnly: true, sameSite: 'Lax' });
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/\/login/);
    await page.goto(`${dashboard.address}/runs`);
    expect(page.url()).toContain('/login');
  });

  it('shows a viewer everything, and lets a viewer change nothing', async () => {
    const { page } = await signIn(VIEWER_TOKEN);
    await page.waitForURL(`${dashboard.address}/runs`);
    expect(await page.getByRole('link', { name: 'Submit' }).count()).toBe(0);
    const response = await page.goto(`${dashboard.address}/submit/classify`);
    expect(response?.status()).toBe(403);
    const status = await page.evaluate(async () => {
      const answer = await fetch('/queues/api/queues/plan/pause', { method: 'PUT' });
      return answer.status;
    });
    expect(status).toBe(403);
  });

  it('shows the queues in the same session, with a way back', async () => {
    const { page, faults } = await signIn(TOKEN);
    await page.waitForURL(`${dashboard.address}/runs`);
    await page.getByRole('link', { name: 'Queues' }).click();
    await page.getByText('classify').first().waitFor();
    expect(await page.title()).toContain('imagemill queues');
    expect(faults).toEqual([]);
  });

  it('refuses what another page sends in the name of who is signed in', async () => {
    const { page } = await signIn(TOKEN);
    await page.waitForURL(`${dashboard.address}/runs`);
    // The same host under another name is another site, and sends no cookie; with one it is still refused.
    const cookies = await page.context().cookies();
    const response = await fetch(`${dashboard.address}/submit/classify`, {
      method: 'POST',
      headers: {
        cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; '),
        origin: 'https://elsewhere.example',
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'source=x',
    });
    expect(response.status).toBe(403);
  });
});
