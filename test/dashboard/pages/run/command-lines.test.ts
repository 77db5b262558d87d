import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  changedSettings,
  shellWord,
  submitCommand,
} from '../../../../src/dashboard/pages/run/command-lines.ts';
import { escapeHtml } from '../../../../src/dashboard/pages/markup.ts';
import { applySettings } from '../../../../src/pipeline/recipe/settings.ts';
import { recipeByName } from '../../../../src/pipeline/recipe/recipes.ts';
import { fakeRun } from '../../../support/fake-run.ts';
import { fakeTrainRun } from '../../../support/fake-train-run.ts';

const HALF_PAIR = /\p{Surrogate}/u;

/** What a shell makes of words, in one go. */
function shellReads(words: readonly string[]): string[] {
  const { stdout, status } = spawnSync('bash', ['-c', `LC_ALL=C.UTF-8; printf '%s\\0' ${words.join(' ')}`], {
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  return stdout.split('\0').slice(0, -1);
}

describe('a word for a shell', () => {
  it('is read back as it was, and shown on a page as it is typed', () => {
    // A word cannot hold a zero; half of a pair is no character.
    const text = fc
      .string({ unit: 'binary', minLength: 1 })
      .filter((text) => !text.includes('\0') && !HALF_PAIR.test(text));
    const texts = fc.array(text, { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(texts, (texts) => {
        const words = texts.map(shellWord);
        expect(shellReads(words)).toEqual(texts);
        const shown = words.map((word) =>
          escapeHtml(word)
            .replaceAll('&#39;', "'")
            .replaceAll('&quot;', '"')
            .replaceAll('&lt;', '<')
            .replaceAll('&gt;', '>')
            .replaceAll('&amp;', '&'),
        );
        expect(shown).toEqual(words);
      }),
      { numRuns: 50 },
    );
  });

  it('needs no quotes where it is plain', () => {
    expect(shellWord('s3://bucket/photos/')).toBe('s3://bucket/photos/');
    expect(shellWord("it's here")).toBe(`'it'\\''s here'`);
    expect(shellWord('two\nlines')).toBe(`$'two\\nlines'`);
  });
});

describe('the command that submits a run again', () => {
  it('leaves out what is as it is by default', () => {
    const { spec } = fakeRun({ topK: 5, shardSize: 1_000, batchSize: 64, format: 'parquet' });
    expect(submitCommand(spec, 'memory://out/')).toBe(
      'imagemill classify memory://source/ --model memory://model/m.safetensors --batch-size 64 --out memory://out/',
    );
  });

  it('says what is not, globs among it', () => {
    const source = { uri: '/a b', include: ['*.jpg'], exclude: [], limit: 9 };
    const { spec } = fakeRun({ source, crops: 10, embeddings: true });
    expect(submitCommand(spec, '/out')).toBe(
      "imagemill classify '/a b' --model memory://model/m.safetensors --top-k 2 --crops 10 --shard-size 10 --batch-size 4 --format jsonl --embeddings --include '*.jpg' --limit 9 --out /out",
    );
  });

  it('of a generation is a retry', () => {
    const { run, spec } = fakeRun({ retryOf: { run: fakeRun().run, generation: 1 } });
    expect(submitCommand(spec, '/out')).toBe(`imagemill retry ${run} --failed`);
  });

  it('of a training run names the settings that make the same recipe', () => {
    const recipe = applySettings(recipeByName('alexnet-owt'), [
      'epochs=3',
      'schedule.kind=cosine',
      'augmentation.crop.kind=center-crop',
    ]);
    const again = applySettings(recipeByName('alexnet-owt'), changedSettings(recipe));
    expect({ ...again, source: '' }).toEqual({ ...recipe, source: '' });
    expect(submitCommand(fakeTrainRun({ recipe }).spec, '/out')).toMatch(
      /--recipe alexnet-owt .*--set epochs=3 /,
    );
  });
});
