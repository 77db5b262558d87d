import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export type TarFormat = 'v7' | 'ustar' | 'gnu' | 'oldgnu' | 'pax';

/** Packs files with the system's tar command, in the order given. */
export function packTar(
  files: Readonly<Record<string, string | Uint8Array>>,
  format: TarFormat,
  options: readonly string[] = [],
): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'tar-'));
  try {
    for (const [name, body] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, 'in', name)), { recursive: true });
      writeFileSync(join(folder, 'in', name), body);
    }
    const args = [
      `--format=${format}`,
      ...options,
      '-C',
      'in',
      '-cf',
      'out.tar',
      '--',
      ...Object.keys(files),
    ];
    execFileSync('tar', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    return readFileSync(join(folder, 'out.tar'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One header block with a correct checksum; for members that no tar command would write. */
export function headerBlock(fields: {
  readonly name?: string;
  readonly type?: string;
  readonly size?: string | Uint8Array;
  readonly magic?: string;
  readonly prefix?: string;
}): Uint8Array {
  const block = Buffer.alloc(512);
  block.write(fields.name ?? 'a.jpg', 0, 100, 'utf8');
  block.write('0000644\0', 100, 'latin1');
  if (typeof fields.size === 'string' || fields.size === undefined)
    block.write(fields.size ?? '00000000000\0', 124, 'latin1');
  else block.set(fields.size, 124);
  block.write(fields.type ?? '0', 156, 'latin1');
  block.write(fields.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(fields.prefix ?? '', 345, 155, 'utf8');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** A header and its body, padded to whole blocks. */
export function member(
  fields: Parameters<typeof headerBlock>[0],
  body: Uint8Array | string = '',
): Uint8Array {
  const bytes = Buffer.from(body);
  const size = `${bytes.length.toString(8).padStart(11, '0')}\0`;
  const padding = Buffer.alloc((512 - (bytes.length % 512)) % 512);
  return Buffer.concat([headerBlock({ size, ...fields }), bytes, padding]);
}

export const END_OF_TAR = new Uint8Array(1_024);
