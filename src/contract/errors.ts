/**
 * The error catalogue. Every failure that a user, a ledger or a queue can see has one code from this table;
 * `docs/errors.md` is generated from it and a test holds the two together.
 */

/**
 * Who has to act, which also decides the exit code of a command:
 * `use` (the command was wrong, exit 2), `item` (one image, recorded in `errors/`, exit 3),
 * `run` (the run cannot go on) and `service` (Redis, store or device): exit 2 before anything is enqueued, else 1.
 */
export type ErrorScope = 'use' | 'item' | 'run' | 'service';

interface CatalogueEntry {
  readonly scope: ErrorScope;
  /** Whether trying the same thing again later can succeed. */
  readonly retryable: boolean;
  readonly meaning: string;
}

const entry = <S extends ErrorScope>(
  scope: S,
  retryable: boolean,
  meaning: string,
): CatalogueEntry & { readonly scope: S } => ({
  scope,
  retryable,
  meaning,
});

export const ERROR_CATALOGUE = {
  // One image
  IMAGE_EMPTY: entry('item', false, 'The object has zero bytes.'),
  IMAGE_FORMAT_UNKNOWN: entry('item', false, 'The bytes are not an image of a supported format.'),
  IMAGE_TRUNCATED: entry('item', false, 'The image ends before its last pixel.'),
  IMAGE_CORRUPT: entry('item', false, 'The decoder rejected the image data.'),
  IMAGE_TOO_MANY_BYTES: entry('item', false, 'The object is larger than the limit on bytes per image.'),
  IMAGE_TOO_MANY_PIXELS: entry('item', false, 'The image is larger than the limit on pixels per image.'),
  IMAGE_TIMEOUT: entry('item', false, 'The image took longer to decode than the limit.'),
  IMAGE_CRASHED: entry(
    'item',
    false,
    'The compute process died, or made no progress, each time this image was in it.',
  ),
  ITEM_NOT_FOUND: entry('item', false, 'The object was listed or named in a manifest but does not exist.'),
  ITEM_ACCESS_DENIED: entry('item', false, 'The store refuses to read this object with these credentials.'),
  LABEL_MISSING: entry(
    'item',
    false,
    'The item has no class: no label in its source, and no folder of its own.',
  ),
  LABEL_INVALID: entry('item', false, 'The label of the item cannot be read as the name of a class.'),
  ITEM_URI_INVALID: entry('item', false, 'The uri of the item has a scheme or a form that cannot be read.'),

  // Wrong use
  USAGE: entry('use', false, 'The command line is wrong.'),
  CONFIG_INVALID: entry('use', false, 'An environment variable has a value that cannot be used.'),
  URI_INVALID: entry('use', false, 'A location is not an s3:// URI, a file:// URI or a path.'),
  SOURCE_EMPTY: entry('use', false, 'The source holds no images.'),
  SOURCE_NOT_FOUND: entry('use', false, 'The source does not exist.'),
  MANIFEST_INVALID: entry('use', false, 'A line of the manifest cannot be read.'),
  TAR_INVALID: entry('use', false, 'A tar shard is damaged.'),
  OUTPUT_INSIDE_SOURCE: entry('use', false, 'The output would become part of its own source.'),
  OUTPUT_NOT_WRITABLE: entry('use', false, 'The output location refuses writes.'),
  OUTPUT_HOLDS_ANOTHER_RUN: entry('use', false, 'The output already holds a run with another specification.'),
  RUN_NOT_FOUND: entry('use', false, 'No run has this id, and no ledger is at this location.'),
  MODEL_NOT_FOUND: entry('use', false, 'The model file does not exist.'),
  MODEL_FORMAT_UNKNOWN: entry('use', false, 'The model is not safetensors, PyTorch or ONNX.'),
  MODEL_CORRUPT: entry('use', false, 'The model file is damaged.'),
  MODEL_SHAPE_MISMATCH: entry('use', false, 'The weights do not fit the architecture.'),
  MODEL_NOT_A_CLASSIFIER: entry('use', false, 'The model does not map a batch of images to class scores.'),
  MODEL_UNSAFE: entry(
    'use',
    false,
    'The pickle refers to something other than tensors; it is never executed.',
  ),
  MODEL_LABELS_MISMATCH: entry('use', false, 'The number of labels differs from the number of classes.'),
  MODEL_DIGEST_CHANGED: entry(
    'run',
    false,
    'The model file is no longer the one the run was submitted with.',
  ),

  // Training
  DATASET_NOT_FOUND: entry('use', false, 'No prepared dataset is at this location.'),
  DATASET_CLASSES: entry('use', false, 'Training needs two classes or more, each with training images.'),
  DATASET_TOO_SMALL: entry('use', false, 'The batch is larger than the training split of the dataset.'),
  DATASET_CHANGED: entry('run', false, 'The dataset is no longer the one the run was submitted with.'),
  RECIPE_INVALID: entry('use', false, 'A setting of the recipe is unknown or cannot be used.'),
  CHECKPOINT_INVALID: entry(
    'run',
    false,
    'A checkpoint is damaged, or belongs to another recipe or dataset.',
  ),
  LOSS_NOT_FINITE: entry(
    'run',
    false,
    'The loss is not a number any more: training stopped at the last good checkpoint.',
  ),

  // Dashboard and API
  REQUEST_INVALID: entry(
    'use',
    false,
    'The request to the API does not have the form its description gives.',
  ),
  UNAUTHENTICATED: entry('use', false, 'The request bears no token that this dashboard knows.'),
  FORBIDDEN: entry(
    'use',
    false,
    "The role of who asks does not allow this, or the request is a foreign page's.",
  ),
  PAGE_NOT_FOUND: entry('use', false, 'There is nothing at this address of the dashboard.'),
  IDEMPOTENCY_KEY_REUSED: entry('use', false, 'Another request was made with the same idempotency key.'),
  LOCATION_REFUSED: entry('use', false, 'This dashboard takes no runs that read or write at this location.'),
  OVERLOADED: entry('service', true, 'More is asked at once than the limit allows.'),

  // Contract
  CONTRACT_INVALID: entry('run', false, 'A ledger document or job payload does not have the agreed form.'),
  CONTRACT_VERSION_UNKNOWN: entry(
    'run',
    false,
    'A ledger document or job payload was written by an incompatible version of imagemill.',
  ),

  // Services
  REDIS_UNREACHABLE: entry('service', true, 'Redis does not answer.'),
  REDIS_UNTRUSTED: entry(
    'service',
    false,
    'The certificate of Redis is not one that is trusted for its name.',
  ),
  REDIS_REFUSED: entry('service', false, 'Redis refuses the credentials or the command.'),
  REDIS_SERVER_MISSING: entry('use', false, 'No REDIS_URL is set and no redis-server is installed.'),
  STORE_UNREACHABLE: entry('service', true, 'The object store does not answer.'),
  STORE_UNAVAILABLE: entry(
    'service',
    true,
    'The object store answers with a server error or asks to slow down.',
  ),
  STORE_ACCESS_DENIED: entry('service', false, 'The object store refuses the credentials.'),
  STORE_NOT_FOUND: entry('service', false, 'The bucket or the folder does not exist.'),
  STORE_FULL: entry('service', true, 'The object store or the disk is full.'),
  OBJECT_NOT_FOUND: entry('run', false, 'An object that the ledger needs does not exist.'),
  STORE_CONDITIONAL_PUT_UNSUPPORTED: entry(
    'service',
    false,
    'The object store does not honour If-None-Match; its runs are fenced through Redis.',
  ),

  // Running
  ENGINE_UNAVAILABLE: entry('service', false, 'The engine or the device cannot be used on this machine.'),
  ENGINE_FAILED: entry('run', true, 'The engine failed on a batch.'),
  ENGINE_OUT_OF_MEMORY: entry('run', true, "The device's memory does not suffice, even for one image."),
  COMPUTE_DIED: entry('run', true, 'The compute process ended in the middle of a shard.'),
  COMPUTE_HUNG: entry('run', true, 'The compute process made no progress within the limit and was killed.'),
  PICTURES_BUSY: entry(
    'service',
    true,
    'More pictures are asked for than the dashboard can make: ask again in a while.',
  ),
  SHARDS_FAILED: entry('run', false, 'Some shards failed in every attempt.'),
  RUN_CANCELLED: entry('run', false, 'The run was cancelled.'),
  SHUTDOWN: entry('run', true, 'The worker is stopping; the shard goes back to the queue.'),
  INTERNAL: entry('run', true, 'A fault of imagemill itself.'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2, itemErrors: 3, interrupted: 130 } as const;

/** A failure with a code from the catalogue and one sentence that says what was expected and what was got. */
export class ImagemillError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ImagemillError';
    this.code = code;
  }

  get retryable(): boolean {
    return ERROR_CATALOGUE[this.code].retryable;
  }

  get scope(): ErrorScope {
    return ERROR_CATALOGUE[this.code].scope;
  }
}

/** A fault of one image: becomes a record in `errors/`, never a failed shard. */
export class ImageError extends ImagemillError {
  override readonly code: ItemErrorCode;

  constructor(code: ItemErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.code = code;
    this.name = 'ImageError';
  }
}

export type ItemErrorCode = {
  [C in ErrorCode]: (typeof ERROR_CATALOGUE)[C]['scope'] extends 'item' ? C : never;
}[ErrorCode];

/** Any thrown value as an {@link ImagemillError}; what is not ours becomes `INTERNAL`. */
export function asImagemillError(error: unknown): ImagemillError {
  if (error instanceof ImagemillError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ImagemillError('INTERNAL', message, { cause: error });
}
