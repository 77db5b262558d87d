/** The page of a run: figures that move, and parts that are made anew on the server when there is something new. */
import { watchPictures } from './broken-pictures.ts';
import { LiveStream, throttled } from './live.ts';
import { localiseTimes } from './page.ts';
import { showRun } from './run-fields.ts';

const PARTS_INTERVAL_MS = 3_000;

const page = document.querySelector<HTMLElement>('[data-run-page]');
export const runId = page?.dataset['runPage'] ?? '';
/** One per page: the scripts of the kinds of runs listen to it too. */
export const stream = new LiveStream(runId);

let shownState = page?.dataset['state'];
const refreshParts = throttled(PARTS_INTERVAL_MS, () => void replaceParts());

stream.on('run', ({ run }) => {
  if (page === null || run.run !== runId) return;
  showRun(page, run);
  if (run.state === shownState) return;
  shownState = run.state;
  refreshParts();
});
stream.on('committed', refreshParts);
stream.on('reset', refreshParts);
watchPictures();

async function replaceParts(): Promise<void> {
  const response = await fetch(location.href, { headers: { accept: 'text/html' } }).catch(() => null);
  if (page === null || response === null || !response.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), 'text/html');
  for (const part of page.querySelectorAll<HTMLElement>('[data-part]')) {
    const next = fresh.querySelector<HTMLElement>(`[data-part="${part.dataset['part'] ?? ''}"]`);
    if (next !== null) replacePart(part, next);
  }
}

/** What the reader has opened, scrolled or loaded stays as it is. */
function replacePart(part: HTMLElement, next: HTMLElement): void {
  localiseTimes(next);
  for (const kept of part.querySelectorAll<HTMLDetailsElement>('details[data-keep]')) {
    const same = next.querySelector<HTMLDetailsElement>(`details[data-keep="${kept.dataset['keep'] ?? ''}"]`);
    if (same !== null) same.open = kept.open;
  }
  if (next.innerHTML === part.innerHTML) return;
  if (part.contains(document.activeElement)) {
    // Whoever is about to press a button must not lose it.
    part.addEventListener('focusout', refreshParts, { once: true });
    return;
  }
  const scrolled = [...part.querySelectorAll('.scroll')].map(({ scrollLeft }) => scrollLeft);
  for (const picture of next.querySelectorAll('img')) {
    const loaded = [...part.querySelectorAll('img')].find(({ src }) => src === picture.src);
    if (loaded !== undefined && loaded.alt === picture.alt) picture.replaceWith(loaded);
  }
  part.replaceChildren(...next.childNodes);
  for (const [index, element] of [...part.querySelectorAll('.scroll')].entries()) {
    element.scrollLeft = scrolled[index] ?? 0;
  }
}
