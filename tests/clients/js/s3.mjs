// Amazon S3's client of the AWS SDK for JavaScript v3, as a program that makes one call after the other.
//
//   node s3.mjs
//
// Each line of its input is a call: `{"operation", "input", "settings"}`, and where it needs them `"body"`, the file
// that is sent, as a stream with `"stream": true`; `"save"`, the file that takes what is read; `"presign": true` for a
// URL in the place of the call. `settings` are the client's. Besides S3's own operations there is `Upload`,
// lib-storage's, in parts of `"part"` bytes. Each line of its output is what the user gets of the call, as call.mjs
// tells it.

import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as sdk from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { clientOf, told } from "./told.mjs";

const clients = {};

for await (const line of createInterface({ input: process.stdin })) {
  const given = JSON.parse(line);
  const settings = JSON.stringify(given.settings ?? {});
  const client = (clients[settings] ??= clientOf(sdk.S3Client, given.settings));
  const seen = await told(client, () => call(client, given));
  // Of one call of several; `attempts` are those of all.
  if (given.operation === "Upload") delete seen.attempts_told;
  console.log(JSON.stringify(seen));
}

async function call(client, { operation, input, body, stream, save, part, presign }) {
  if (operation === "Upload") {
    // Of a stream that doesn't tell its length.
    const Body = createReadStream(body).pipe(new PassThrough());
    return await new Upload({ client, params: { ...input, Body }, partSize: part }).done();
  }
  const Body = body && (stream ? createReadStream(body) : readFileSync(body));
  const command = new sdk[`${operation}Command`]({ ...input, ...(body && { Body }) });
  if (presign) return { url: await getSignedUrl(client, command, { expiresIn: 60 }) };
  const { Body: read, ...output } = await client.send(command);
  if (save) await pipeline(read, createWriteStream(save));
  return output;
}
