/** The line in which a dying process says why; its last one where none stands out. */
export function lastWords(stderr: string): string {
  const lines = stderr.trim().split('\n');
  return lines.findLast((line) => /\b(FATAL|Error|terminate|assertion)\b/i.test(line)) ?? lines.at(-1) ?? '';
}
