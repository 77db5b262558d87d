import type { Fleet, ShownQueue, ShownWorker } from '../../contract/api/workers.ts';
import { byteSize, duration, number, percent, time } from './figures.ts';
import { html, type Html } from './markup.ts';

/** Jobs shown per worker; it has fewer in progress than that. */
const JOBS_SHOWN_MAX = 8;

/** Workers and queues; the script replaces all of it every few seconds. */
export function workersPage(fleet: Fleet, nowMs: number): Html {
  return html`
    <div class="heading"><h1>Workers</h1></div>
    <div data-fleet>${fleetTables(fleet, nowMs)}</div>
  `;
}

/** What changes. */
export function fleetTables({ workers, queues }: Fleet, nowMs: number): Html {
  return html`
    ${workers.length === 0 ? noWorkers() : workersTable(workers, nowMs)}
    <section class="panel" aria-labelledby="queues-heading">
      <h2 id="queues-heading">Queues</h2>
      ${queuesTable(queues)}
    </section>
  `;
}

function noWorkers(): Html {
  return html`<div class="empty">
    <p>No worker has reported in the last ten minutes.</p>
    <pre><code>REDIS_URL=… imagemill worker --device cuda:0</code></pre>
  </div>`;
}

function workersTable(workers: readonly ShownWorker[], nowMs: number): Html {
  return html`<div class="scroll" role="region" aria-label="Workers" tabindex="0">
    <table class="stacked">
      <thead>
        <tr>
          <th scope="col">Worker</th>
          <th scope="col">State</th>
          <th scope="col">Device</th>
          <th scope="col">Doing</th>
          <th scope="col" class="right">Images/s</th>
          <th scope="col" class="right">Use</th>
          <th scope="col" class="right">Memory</th>
          <th scope="col" class="right">Done</th>
          <th scope="col" class="right">Heard of</th>
        </tr>
      </thead>
      <tbody>
        ${workers.map((worker) => workerRow(worker, nowMs))}
      </tbody>
    </table>
  </div>`;
}

function workerRow(worker: ShownWorker, nowMs: number): Html {
  const { name, state, device, engine, version, totals, at } = worker;
  return html`<tr data-worker="${name}">
    <th scope="row">
      <strong>${name}</strong>
      <div class="hint">imagemill ${version}, since ${time(worker.startedAt)}</div>
    </th>
    <td><span class="badge ${state}">${state}</span></td>
    <td data-label="Device">
      ${device}, ${engine} ${worker.gpu !== null && html`<div class="hint">${worker.gpu.name}</div>`}
      <div class="hint">${worker.queues.join(', ')}</div>
    </td>
    <td data-label="Doing">${jobsList(worker)}</td>
    <td data-label="Images/s" class="right">${number(worker.imagesPerSecond)}</td>
    <td data-label="Use" class="right">${use(worker)}</td>
    <td data-label="Memory" class="right">${memory(worker)}</td>
    <td data-label="Done" class="right">
      ${number(totals.images)} images
      <div class="hint">${number(totals.errors)} errors</div>
    </td>
    <td data-label="Heard of" class="right">${duration((nowMs - Date.parse(at)) / 1_000)} ago</td>
  </tr>`;
}

function jobsList({ jobs, state }: ShownWorker): Html {
  if (jobs.length === 0 || state === 'lost') return html`–`;
  return html`<ul class="plain">
    ${jobs.slice(0, JOBS_SHOWN_MAX).map((job) => {
      const place =
        job.shard !== null ? `shard ${job.shard}` : job.epoch !== null ? `epoch ${job.epoch}` : 'planning';
      const done =
        job.items === null ? number(job.itemsDone) : `${number(job.itemsDone)}/${number(job.items)}`;
      return html`<li>
        ${
          job.run === null
            ? job.queue
            : html`<a href="/runs/${job.run}">${job.queue} <code>${job.run.slice(-6)}</code></a>`
        }
        ${place}, ${done}
      </li>`;
    })}
  </ul>`;
}

/** Of the device where the driver tells, of the processor's cores otherwise. */
function use({ gpu, control, compute }: ShownWorker): Html {
  const cores =
    control.cpuCores === null && (compute?.cpuCores ?? null) === null
      ? null
      : (control.cpuCores ?? 0) + (compute?.cpuCores ?? 0);
  return html`${gpu?.utilisation !== null && gpu !== null && html`GPU ${percent(gpu.utilisation, 0)}`}
    <div${gpu !== null && html` class="hint"`}>${cores === null ? '–' : `${cores.toFixed(1)} cores`}</div>`;
}

function memory({ gpu, control, compute }: ShownWorker): Html {
  const resident = control.residentBytes + (compute?.residentBytes ?? 0);
  return html`${
    gpu !== null &&
    gpu.memoryUsedBytes !== null &&
    html`GPU ${byteSize(gpu.memoryUsedBytes)} of ${byteSize(gpu.memoryTotalBytes)}`
  }
    <div${gpu !== null && html` class="hint"`}>${byteSize(resident)}</div>`;
}

const JOB_STATES = ['active', 'waiting', 'prioritized', 'delayed', 'waiting-children', 'failed'] as const;

function queuesTable(queues: readonly ShownQueue[]): Html {
  return html`<div class="scroll" role="region" aria-label="Jobs by state" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col">Queue</th>
          ${JOB_STATES.map((state) => html`<th scope="col" class="right">${state}</th>`)}
          <th scope="col" class="right">oldest waits</th>
        </tr>
      </thead>
      <tbody>
        ${queues.map(
          ({ queue, jobs, oldestWaitingSeconds }) =>
            html`<tr>
              <th scope="row"><a href="/queues/queue/${queue}">${queue}</a></th>
              ${JOB_STATES.map((state) => html`<td class="right">${number(jobs[state] ?? 0)}</td>`)}
              <td class="right">${oldestWaitingSeconds === 0 ? '–' : duration(oldestWaitingSeconds)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
