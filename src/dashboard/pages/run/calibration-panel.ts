import { number, percent } from '../figures.ts';
import { html, type Html } from '../markup.ts';
import type { EvaluationView } from '../../runs/evaluation-view.ts';

/** How often the model is right where it says it is sure so far: on the diagonal it keeps its word. */
export function calibrationPanel({ calibration, calibrationError }: EvaluationView): Html {
  const bins = calibration.length;
  const filled = calibration.flatMap((bin, index) => (bin.count > 0 ? [{ ...bin, index }] : []));
  return html`<section class="panel" aria-labelledby="calibration-heading">
    <h2 id="calibration-heading">
      Calibration <span class="quiet-text">expected error ${percent(calibrationError)}</span>
    </h2>
    <svg
      class="reliability"
      viewBox="0 0 ${bins} ${bins}"
      preserveAspectRatio="none"
      role="img"
      aria-label="Accuracy by confidence in ${bins} steps; the table below says the same"
    >
      ${filled.map(({ index, accuracy }) => html`<rect x="${index + 0.06}" y="${bins - (accuracy ?? 0) * bins}" width="0.88" height="${Math.max(0.05, (accuracy ?? 0) * bins)}" />`)}
      <line x1="0" y1="${bins}" x2="${bins}" y2="0" vector-effect="non-scaling-stroke" />
    </svg>
    <p class="axis" aria-hidden="true"><span>0</span><span>confidence</span><span>1</span></p>
    <details data-keep="calibration">
      <summary>As a table</summary>
      <table>
        <thead>
          <tr>
            <th scope="col">Confidence</th>
            <th scope="col" class="right">Mean</th>
            <th scope="col" class="right">Accuracy</th>
            <th scope="col" class="right">Images</th>
          </tr>
        </thead>
        <tbody>
          ${filled.map(
            ({ index, count, confidence, accuracy }) =>
              html`<tr>
                <td>${percent(index / bins, 0)} to ${percent((index + 1) / bins, 0)}</td>
                <td class="right">${percent(confidence, 1)}</td>
                <td class="right">${percent(accuracy, 1)}</td>
                <td class="right">${number(count)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </details>
  </section>`;
}
