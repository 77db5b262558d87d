/** The page of workers: asks for its tables again every two seconds, as long as somebody looks. */
import { localiseTimes } from './page.ts';

const INTERVAL_MS = 2_000;

async function refresh(): Promise<void> {
  const fleet = document.querySelector('[data-fleet]');
  if (fleet === null || document.hidden) return;
  // Whoever reads with the keyboard must not lose the place.
  if (fleet.contains(document.activeElement)) return;
  const response = await fetch('/workers?part=fleet', { headers: { accept: 'text/html' } });
  if (!response.ok || response.redirected) return;
  const parsed = new DOMParser().parseFromString(await response.text(), 'text/html');
  fleet.replaceChildren(...parsed.body.childNodes);
  localiseTimes(fleet);
}

setInterval(() => {
  // The next round asks again.
  refresh().catch(() => {});
}, INTERVAL_MS);
