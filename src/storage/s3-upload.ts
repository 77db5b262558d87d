import type { S3, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { allowManyListeners, CountedChunks } from './abort.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3StoreError, type S3Place } from './s3-errors.ts';

/** S3 allows 10,000 parts: objects up to 80 GB. */
const PART_BYTES = 8 * 1024 * 1024;
/** With the part being filled and the one waiting, six parts are in memory at most. */
const PARTS_IN_FLIGHT = 4;

/** The methods that lib-storage calls on a client. */
type UploadClient = Pick<S3Client, 'config' | 'send'>;

/**
 * Streams an object: one put where it fits in a part, else a multipart upload, which a failure aborts.
 * @returns bytes written
 * @throws ImagemillError as every method of a store; the signal's reason; what `chunks` throws, unchanged
 */
export async function uploadStream(
  connection: S3Connection,
  place: S3Place & { readonly key: string },
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted();
  const [{ Upload }, sdk, client] = await Promise.all([
    import('@aws-sdk/lib-storage'),
    import('@aws-sdk/client-s3'),
    connection.client(),
  ]);
  // The first failure of any part stops the source and the other parts: lib-storage alone would go on to the end.
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal?.reason);
  allowManyListeners(signal);
  signal?.addEventListener('abort', onAbort, { once: true });
  const source = new CountedChunks(chunks, stop.signal);
  const upload = new Upload({
    client: uploadClient(connection, client, place, stop, sdk.UploadPartCommand) as S3Client,
    params: {
      Bucket: place.bucket,
      Key: place.key,
      Body: Readable.from(source, { highWaterMark: 1 }),
    },
    partSize: PART_BYTES,
    queueSize: PARTS_IN_FLIGHT,
  });
  try {
    await upload.done();
    return source.bytes;
  } catch (error) {
    stop.signal.throwIfAborted();
    if (source.failure !== undefined) throw source.failure.reason;
    throw s3StoreError(error, place);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * Sends lib-storage's requests on the shared connections. Only parts can be aborted: an aborted request that makes the
 * object visible (the single put, the completion) might still take effect after the failure was reported.
 */
function uploadClient(
  connection: S3Connection,
  client: S3,
  place: S3Place,
  stop: AbortController,
  PartCommand: typeof UploadPartCommand,
): UploadClient {
  const send = async (command: Parameters<S3Client['send']>[0]): Promise<unknown> => {
    const signal = command instanceof PartCommand ? stop.signal : undefined;
    try {
      return await connection.request(place, signal, (_client, options) => client.send(command, options));
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  return { config: client.config, send: send as S3Client['send'] };
}
