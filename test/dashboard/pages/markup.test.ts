import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { html, json } from '../../../src/dashboard/pages/markup.ts';

describe('html', () => {
  it('escapes values, and takes HTML and lists of it as they are', () => {
    const items = ['<b>', '&'].map((text) => html`<i title="${text}">${text}</i>`);
    expect(html`<b>${items}</b>`.text).toBe(
      '<b><i title="&lt;b&gt;">&lt;b&gt;</i><i title="&amp;">&amp;</i></b>',
    );
  });

  it('leaves out what is not there, and shows zero', () => {
    expect(html`[${null}${undefined}${false}${0}${''}]`.text).toBe('[0]');
  });

  it('lets no text end an element or an attribute, or turn the direction of what follows', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { text: made } = html`<p title="${text}">${text}</p>`;
        const inside = made.slice('<p title="'.length, -'</p>'.length);
        // The only markup left is what stands between the two values.
        expect(inside.match(/[<>"]/g)).toEqual(['"', '>']);
        expect(made).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  it('carries data that a script reads back as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { text } = html`<p data-value="${json(value)}"></p>`;
        const attribute = text.slice('<p data-value="'.length, -'"></p>'.length);
        const unescaped = attribute
          .replaceAll('&lt;', '<')
          .replaceAll('&gt;', '>')
          .replaceAll('&quot;', '"')
          .replaceAll('&#39;', "'")
          .replaceAll('&amp;', '&');
        expect(JSON.parse(unescaped)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
