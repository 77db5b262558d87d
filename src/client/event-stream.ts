/** A message of a stream of server-sent events (WHATWG HTML, §9.2.6). */
export interface StreamMessage {
  /** Id of the last event, this one included; empty where none was given. */
  readonly lastEventId: string;
  readonly type: string;
  /** null for a block without data, which only sets the id. */
  readonly data: string | null;
}

/** Reads server-sent events out of pieces of text that end anywhere. */
export class EventStreamParser {
  #rest = '';
  #lastEventId: string;
  #type = '';
  #data: string[] = [];
  #isFirst = true;
  /** Pause before coming back that the other side asks for, in milliseconds; null before it does. */
  retryMs: number | null = null;

  constructor(lastEventId = '') {
    this.#lastEventId = lastEventId;
  }

  /** @returns the messages that end in this piece */
  push(text: string): StreamMessage[] {
    const messages: StreamMessage[] = [];
    let input = this.#rest + text;
    if (this.#isFirst && input !== '') {
      input = input.replace(/^\uFEFF/, '');
      this.#isFirst = false;
    }
    // A lone CR at the end may be half of a CRLF.
    const lines = input.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') messages.push(this.#dispatch());
      else this.#read(line);
    }
    return messages;
  }

  #dispatch(): StreamMessage {
    const data = this.#data.length === 0 ? null : this.#data.join('\n');
    const message = { lastEventId: this.#lastEventId, type: this.#type || 'message', data };
    this.#type = '';
    this.#data = [];
    return message;
  }

  #read(line: string): void {
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#lastEventId = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}
