import type { ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-connection.ts';
import { faultNameOf, type S3Place } from './s3-errors.ts';

/**
 * Aborts multipart uploads that nobody completed, below a prefix.
 * @returns how many were aborted
 * @throws ImagemillError STORE_*
 */
export async function abortUnfinishedUploads(
  connection: S3Connection,
  { bucket, prefix }: { readonly bucket: string; readonly prefix: string },
  before: Date,
): Promise<number> {
  const place: S3Place = { address: connection.address, bucket };
  let aborted = 0;
  let page: ListMultipartUploadsCommandOutput | undefined;
  do {
    const { NextKeyMarker: key, NextUploadIdMarker: id } = page ?? {};
    page = await connection.request(place, undefined, (client) =>
      client.listMultipartUploads({
        Bucket: bucket,
        Prefix: prefix,
        ...(key === undefined ? {} : { KeyMarker: key }),
        ...(id === undefined ? {} : { UploadIdMarker: id }),
      }),
    );
    for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
      if (Key === undefined || UploadId === undefined) continue;
      if (Initiated !== undefined && Initiated >= before) continue;
      await abortUpload(connection, { ...place, key: Key }, UploadId);
      aborted += 1;
    }
  } while (page.IsTruncated === true);
  return aborted;
}

async function abortUpload(
  connection: S3Connection,
  place: S3Place & { readonly key: string },
  uploadId: string,
): Promise<void> {
  await connection.request(place, undefined, async (client) => {
    try {
      await client.abortMultipartUpload({ Bucket: place.bucket, Key: place.key, UploadId: uploadId });
    } catch (error) {
      // Its writer came to an end meanwhile.
      if (faultNameOf(error) !== 'NoSuchUpload') throw error;
    }
  });
}
