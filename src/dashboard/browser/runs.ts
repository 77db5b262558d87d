/** The list of runs: rows that move, and a word where there are new ones. */
import { LiveStream } from './live.ts';
import { showRun } from './run-fields.ts';

const stream = new LiveStream();
const unseen = new Set<string>();

stream.on('run', ({ run }) => {
  const row = document.querySelector(`tr[data-run="${run.run}"]`);
  if (row !== null) {
    showRun(row, run);
  } else if (run.state !== 'unknown' && isOnThisPage(run.createdAt)) {
    unseen.add(run.run);
    tellOfNewRuns();
  }
});
stream.on('reset', () => location.reload());

/** Only the first page, without a filter, grows. */
function isOnThisPage(createdAt: string): boolean {
  if (location.search !== '') return false;
  const newest = document.querySelector('tr[data-run] time')?.getAttribute('datetime');
  return newest === null || newest === undefined || createdAt > newest;
}

function tellOfNewRuns(): void {
  let notice = document.querySelector<HTMLElement>('[data-new-runs]');
  if (notice === null) {
    notice = document.createElement('p');
    notice.dataset['newRuns'] = '';
    notice.setAttribute('role', 'status');
    document.querySelector('.filters')?.after(notice);
  }
  const link = document.createElement('a');
  link.href = '/runs';
  link.textContent = unseen.size === 1 ? 'Show 1 new run' : `Show ${unseen.size} new runs`;
  notice.replaceChildren(link);
}
