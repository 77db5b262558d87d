/** Figures as pages write them, and scripts while one looks. */
import type { TrainProgress } from '../../contract/training.ts';

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** `12345.67` → `12,345.7`; `–` for what is not known. */
export function number(value: number | null): string {
  return value === null ? '–' : grouped.format(value);
}

/** Seconds as a person says them: `8 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '–';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

/** `0.00812` → `0.81 %`. */
export function percent(share: number | null, digits = 2): string {
  return share === null ? '–' : `${(share * 100).toFixed(digits)} %`;
}

/** `Now training: epoch 2, step 3 of 25, loss 0.4213`. */
export function nowText({ epoch, step, steps, phase, loss }: TrainProgress): string {
  const of = steps === 0 ? '' : ` of ${number(steps)}`;
  const at = `epoch ${number(epoch)}, step ${number(step)}${of}`;
  return `Now ${phase}: ${at}${loss === null ? '' : `, loss ${loss.toFixed(4)}`}`;
}
