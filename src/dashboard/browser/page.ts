/** What every page does: times in the reader's own zone. */
const formatter = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function localiseTimes(root: ParentNode = document): void {
  for (const element of root.querySelectorAll('time[datetime]')) {
    const at = new Date(element.getAttribute('datetime') ?? '');
    if (Number.isNaN(at.getTime())) continue;
    element.textContent = formatter.format(at);
    element.setAttribute('title', at.toISOString());
  }
}

localiseTimes();

/** A question before what cannot be taken back. */
document.addEventListener('submit', (event) => {
  const form = event.target as HTMLFormElement;
  const { confirm: question } = form.dataset;
  if (question !== undefined && !window.confirm(question)) event.preventDefault();
});
