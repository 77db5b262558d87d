import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const YEAR_MS = 365 * 24 * 3_600_000;
const SERVED = /\.(?:js|css|svg)$/;

/** Built scripts and styles; run from source, those of the last build are taken. */
const FOLDER = fileURLToPath(
  new URL(
    import.meta.url.includes('/src/dashboard/') ? '../../../dist/dashboard/browser' : '../browser',
    import.meta.url,
  ),
);

/**
 * Serves scripts and styles below an address that changes with their content, so that browsers keep them for good.
 * @returns that address, such as `/assets/3f2a9c01b7de`
 */
export async function registerAssets(app: FastifyInstance): Promise<string> {
  const hash = createHash('sha256');
  for (const name of readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).sort()) {
    if (SERVED.test(name)) hash.update(name).update(readFileSync(join(FOLDER, name)));
  }
  const prefix = `/assets/${hash.digest('hex').slice(0, 12)}`;
  await app.register(
    async (assets) => {
      // The page that asks for a token needs its style.
      assets.addHook('onRoute', (route) => {
        route.config = { ...route.config, access: 'public' };
        route.schema = { ...route.schema, hide: true };
      });
      await assets.register(fastifyStatic, {
        root: FOLDER,
        prefix: '/',
        index: false,
        redirect: false,
        maxAge: YEAR_MS,
        immutable: true,
        decorateReply: false,
        allowedPath: (path) => SERVED.test(path),
        setHeaders: (reply) => {
          void reply.header('cache-control', `public, max-age=${YEAR_MS / 1_000}, immutable`);
        },
      });
    },
    { prefix },
  );
  return prefix;
}
