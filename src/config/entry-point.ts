import { fileURLToPath } from 'node:url';

/** How a module of ours is started as a process or thread of its own. */
export interface EntryPoint {
  readonly path: string;
  readonly execArgv: readonly string[];
}

/**
 * Finds a sibling module, whether imagemill runs from TypeScript sources (through tsx) or as built JavaScript.
 * @param name module name without extension, relative to the importing module
 */
export function entryPoint(name: string, importMetaUrl: string): EntryPoint {
  const fromSources = importMetaUrl.endsWith('.ts');
  return {
    path: fileURLToPath(new URL(`${name}${fromSources ? '.ts' : '.js'}`, importMetaUrl)),
    execArgv: fromSources ? ['--import', 'tsx'] : [],
  };
}
