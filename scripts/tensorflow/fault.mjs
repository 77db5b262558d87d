/** What ends the setup with one line: what was expected, what was got, where, and what mends it. */
export class SetupFault extends Error {
  /**
   * @param {string} message
   * @param {number} [exitCode] 1: it failed; 2: it was asked for wrongly, nothing was begun; 130: interrupted
   */
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The last line of text that says something. */
export function lastLineOf(text) {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.findLast((line) => line !== '') ?? '';
}
