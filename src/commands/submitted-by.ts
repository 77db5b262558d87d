import { hostname, userInfo } from 'node:os';
import { submittedBySchema } from '../contract/run.ts';

/**
 * Who gives this command, as `user@host`; undefined where the system has no name for the user (a container that runs
 * under a number, say), or one that cannot be printed.
 */
export function submittedByUser(user = (): string => userInfo().username): string | undefined {
  try {
    return submittedBySchema.safeParse(`${user()}@${hostname()}`).data;
  } catch {
    return undefined;
  }
}
