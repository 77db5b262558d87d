/** A dashboard of its own that makes one picture, says which process did it, and stays. */
import { pino } from 'pino';
import { PictureHost } from '../../../src/dashboard/pictures/picture-host.ts';

const host = new PictureHost({ environment: process.env, logger: pino({ level: 'silent' }) });
await host.thumbnail(process.argv[2] ?? '', 0, 0);
process.stdout.write(`${host.pid}\n`);
setInterval(() => {}, 1_000);
