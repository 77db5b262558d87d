import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AccessMode } from '../access/access-policy.ts';
import { page, type PageOptions } from './layout.ts';

/** What a page says of itself; who asks, and where scripts are, is the same for all. */
export type PageContent = Pick<PageOptions, 'title' | 'section' | 'scripts' | 'styles' | 'body'>;

/** Sends pages in the common layout. */
export class PageRenderer {
  readonly #assets: string;
  readonly #access: AccessMode;

  /** @param assets prefix of scripts and styles */
  constructor(assets: string, access: AccessMode) {
    this.#assets = assets;
    this.#access = access;
  }

  send(request: FastifyRequest, reply: FastifyReply, content: PageContent, status = 200): FastifyReply {
    const { identity } = request;
    const canSignOut = this.#access.kind === 'token';
    return reply
      .code(status)
      .type('text/html; charset=utf-8')
      .send(page({ ...content, identity, canSignOut, assets: this.#assets }));
  }
}

/** Whether who asks is a person with a browser rather than a program. */
export function wantsPage(request: FastifyRequest): boolean {
  const isApi = /^\/(?:api|assets|metrics)(?:\/|$|\?)/.test(request.url);
  return !isApi && (request.headers.accept ?? '').includes('text/html');
}
