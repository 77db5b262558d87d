// `npm run screenshots`: pictures of every page at the width of a desktop and of a phone, of runs that happen for it,
// into docs/screenshots/. Needs Chromium, and a build.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, 'docs', 'screenshots');
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const WIDTHS = { desktop: 1280, phone: 390 };
/** Longer pages are cut: what is below looks like what is above. */
const HEIGHT_MAX = 2_200;
const TOKEN = 'a-token-for-the-screenshots';

const work = mkdtempSync(join(tmpdir(), 'imagemill-'));
const home = join(work, 'home');
const children = [];

/** Starts the built command; resolves with what `pattern` finds in its output. */
function start(args, env, pattern) {
  const child = spawn(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: work,
    env: { ...process.env, IMAGEMILL_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk) => {
      output += chunk;
      const match = pattern.exec(output);
      if (match !== null) resolve(match);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => reject(new Error(`${args[0]} ended with ${code}: ${output}`)));
  });
}

async function run(args, env, codes = [0]) {
  const child = spawn(process.execPath, [join(root, 'dist/cli.js'), ...args], {
    cwd: work,
    env: { ...process.env, IMAGEMILL_HOME: home, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (!codes.includes(code)) throw new Error(`${args.join(' ')} ended with ${code}`);
}

async function runIds(address) {
  const { runs } = await (await fetch(`${address}/api/v1/runs`)).json();
  return Object.fromEntries(runs.toReversed().map(({ kind, run }) => [kind, run]));
}

async function shoot(browser, name, url, prepare = async () => {}) {
  for (const [device, width] of Object.entries(WIDTHS)) {
    const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: 'light' });
    await page.goto(url);
    await prepare(page);
    // Pictures below the fold come when they are scrolled to.
    await page.evaluate('scrollTo(0, document.body.scrollHeight)');
    await page.waitForTimeout(1_500);
    await page.evaluate('scrollTo(0, 0)');
    const png = await page.screenshot({ fullPage: true });
    const { height } = await sharp(png).metadata();
    await sharp(png)
      .extract({ left: 0, top: 0, width, height: Math.min(height, HEIGHT_MAX) })
      .webp({ quality: 75 })
      .toFile(join(folder, `${name}-${device}.webp`));
    await page.close();
  }
}

async function main() {
  const executablePath = BROWSERS.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error(`expected Chromium at one of ${BROWSERS.join(', ')}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [, address, redisUrl] = await start(
    ['dev', '--port', '0'],
    {},
    /Dashboard: (\S+)[^]*REDIS_URL=(\S+)/,
  );
  const env = { REDIS_URL: redisUrl };
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

  const demo = join(work, 'digits');
  const training = run(
    ['demo', '--out', demo, '--train-images', '20000', '--images', '3000', '--epochs', '3'],
    env,
  );
  for (let tries = 0; (await runIds(address)).train === undefined && tries < 600; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await new Promise((resolve) => setTimeout(resolve, 25_000));
  await shoot(browser, 'workers', `${address}/workers`);
  await shoot(browser, 'runs', `${address}/runs`);
  await training;
  await run(['evaluate', join(demo, 'dataset'), '--model', join(demo, 'run', 'best.safetensors')], env);

  const ids = await runIds(address);
  await shoot(browser, 'classify', `${address}/runs/${ids.classify}`);
  await shoot(browser, 'train', `${address}/runs/${ids.train}?epoch=2&step=7`);
  await shoot(browser, 'evaluate', `${address}/runs/${ids.evaluate}`);
  await shoot(browser, 'prepare', `${address}/runs/${ids.prepare}`);
  await shoot(browser, 'submit', `${address}/submit/classify`, (page) =>
    page.getByText('More options').click(),
  );
  await shoot(browser, 'queues', `${address}/queues`);
  const [, guarded] = await start(
    ['dashboard', '--port', '0'],
    { ...env, IMAGEMILL_TOKEN: TOKEN },
    /dashboard at (\S+)/,
  );
  await shoot(browser, 'sign-in', `${guarded}/runs`);
  await browser.close();
  for (const name of readdirSync(folder).sort()) {
    console.log(`${name}  ${Math.round(statSync(join(folder, name)).size / 1_000)} KB`);
  }
}

try {
  await main();
} finally {
  for (const child of children.toReversed()) {
    child.removeAllListeners('exit');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGTERM')) await ended;
  }
  rmSync(work, { recursive: true, force: true });
}
