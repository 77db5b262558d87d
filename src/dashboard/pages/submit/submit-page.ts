import { firstOf, type FormFields } from '../form-body.ts';
import { html, type Html } from '../markup.ts';
import { FORM_FIELDS, type FormField, type RunKind } from './form-fields.ts';
import type { FieldFaults } from './read-form.ts';

const KINDS: readonly { readonly kind: RunKind; readonly text: string; readonly purpose: string }[] = [
  { kind: 'classify', text: 'Label', purpose: 'Label every image of a collection.' },
  { kind: 'prepare', text: 'Prepare', purpose: 'Make a dataset of a labelled collection, to train on.' },
  { kind: 'train', text: 'Train', purpose: 'Train AlexNet on a dataset, one epoch per job.' },
  { kind: 'evaluate', text: 'Evaluate', purpose: 'Compare what a model says of a dataset with its labels.' },
];

export interface SubmitForm {
  readonly kind: RunKind;
  /** What was sent; empty for a form that nobody has filled in. */
  readonly fields: FormFields;
  readonly faults: FieldFaults;
  /** Makes a form that is sent twice one run. */
  readonly idempotencyKey: string;
}

/** A form for each kind of run, with what was wrong beside each field. */
export function submitPage({ kind, fields, faults, idempotencyKey }: SubmitForm): Html {
  const purpose = KINDS.find((entry) => entry.kind === kind)?.purpose;
  const isEmpty = Object.keys(fields).length === 0;
  const render = (field: FormField) => formField(field, valueOf(field, fields, isEmpty), faults[field.name]);
  const often = FORM_FIELDS[kind].filter(({ isSeldom }) => isSeldom !== true);
  const seldom = FORM_FIELDS[kind].filter(({ isSeldom }) => isSeldom === true);
  const mustOpen = seldom.some(({ name }) => faults[name] !== undefined);
  return html`
    <div class="heading"><h1>Submit a run</h1></div>
    <nav aria-label="Kinds of runs">
      <ul class="tabs">
        ${KINDS.map(
          (entry) =>
            html`<li>
              <a
                class="${entry.kind === kind ? 'button' : 'button quiet'}"
                href="/submit/${entry.kind}"
                ${entry.kind === kind && html`aria-current="page"`}
                >${entry.text}</a
              >
            </li>`,
        )}
      </ul>
    </nav>
    <p>${purpose}</p>
    ${Object.keys(faults).length > 0 && faultSummary(kind, faults)}
    <form method="post" action="/submit/${kind}">
      <input type="hidden" name="idempotencyKey" value="${idempotencyKey}" />
      <div class="fields">${often.map(render)}</div>
      <details${mustOpen && html` open`}>
        <summary>More options</summary>
        <div class="fields">${seldom.map(render)}</div>
      </details>
      <p><button>Submit</button></p>
    </form>
  `;
}

function valueOf(field: FormField, fields: FormFields, isEmpty: boolean): string {
  // Values may also come by address, so that a filled-in form can be linked to.
  return firstOf(fields, field.name) ?? (isEmpty || field.type !== 'flag' ? (field.standard ?? '') : '');
}

function faultSummary(kind: RunKind, faults: FieldFaults): Html {
  const labels = new Map(FORM_FIELDS[kind].map(({ name, label }) => [name, label]));
  return html`<div class="fault" role="alert">
    <p>Nothing was submitted:</p>
    <ul>
      ${Object.entries(faults).map(
        ([name, fault]) =>
          html`<li>
            ${labels.has(name) && html`<a href="#field-${name}">${labels.get(name)}</a>: `}${fault}
          </li>`,
      )}
    </ul>
  </div>`;
}

function formField(field: FormField, value: string, fault: string | undefined): Html {
  const { name, label, hint } = field;
  const id = `field-${name}`;
  const hasHint = hint !== undefined && hint !== '';
  const described = [hasHint ? `${id}-hint` : '', fault === undefined ? '' : `${id}-fault`].join(' ').trim();
  const attributes = html`id="${id}"
  name="${name}"${
    described !== '' && html` aria-describedby="${described}"`
  }${fault !== undefined && html` aria-invalid="true"`}${field.isRequired === true && html` required`}`;
  const isWide = field.type === 'text' || field.type === 'flag';
  return html`<div class="${isWide ? 'wide' : ''}">
    ${
      field.type === 'flag'
        ? html`<label for="${id}">
            <input type="checkbox" value="true" ${attributes}${value !== '' && html` checked`} /> ${label}
          </label>`
        : html`<label for="${id}">${label}</label>${control(field, value, attributes)}`
    }
    ${hasHint && html`<div class="hint" id="${id}-hint">${hint}</div>`}
    ${fault !== undefined && html`<div class="field-fault" id="${id}-fault">${fault}</div>`}
  </div>`;
}

function control(field: FormField, value: string, attributes: Html): Html {
  switch (field.type) {
    case 'choice':
    case 'number-choice':
      return html`<select ${attributes}>
        ${field.choices.map(
          (choice) =>
            html`<option value="${choice}" ${choice === value && html` selected`}>${choice}</option>`,
        )}
      </select>`;
    case 'lines':
      return html`<textarea rows="3" spellcheck="false" ${attributes}>${value}</textarea>`;
    case 'integer':
      return html`<input
        type="text"
        inputmode="numeric"
        autocomplete="off"
        value="${value}"
        ${attributes}
      />`;
    default:
      return html`<input
        type="text"
        spellcheck="false"
        autocapitalize="off"
        autocomplete="off"
        value="${value}"
        ${attributes}
      />`;
  }
}
