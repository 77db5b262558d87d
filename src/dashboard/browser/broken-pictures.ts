import type { Problem } from '../../contract/api/problem.ts';

const TRIES_MAX = 5;
const RETRY_MS = 2_000;
const tries = new WeakMap<HTMLImageElement, number>();

/** Says why a picture cannot be shown, in its place. */
export function watchPictures(): void {
  document.addEventListener(
    'error',
    (event) => {
      if (event.target instanceof HTMLImageElement) void explain(event.target);
    },
    true,
  );
  for (const picture of document.images) {
    if (picture.complete && picture.naturalWidth === 0) void explain(picture);
  }
}

async function explain(picture: HTMLImageElement): Promise<void> {
  const done = (tries.get(picture) ?? 0) + 1;
  tries.set(picture, done);
  const problem = await readProblem(picture.src);
  if ((problem === null || problem.retryable) && done < TRIES_MAX) {
    window.setTimeout(() => load(picture), RETRY_MS * done);
    return;
  }
  const text = document.createElement('span');
  text.className = 'broken';
  text.setAttribute('role', 'img');
  text.setAttribute('aria-label', `${picture.alt}: ${problem?.detail ?? 'cannot be shown'}`);
  text.title = problem?.detail ?? '';
  const code = document.createElement('code');
  code.textContent = problem?.code ?? 'no picture';
  text.append(code);
  picture.replaceWith(text);
}

/** null: it is there after all, or nobody says what is wrong. */
async function readProblem(src: string): Promise<Problem | null> {
  try {
    const response = await fetch(src);
    return response.ok ? null : ((await response.json()) as Problem);
  } catch {
    return null;
  }
}

function load(picture: HTMLImageElement): void {
  const { src } = picture;
  picture.removeAttribute('src');
  picture.src = src;
}
