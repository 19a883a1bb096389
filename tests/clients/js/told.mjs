// What call.mjs and s3.mjs share: a client of the SDK that goes through the proxy, and what its user gets of a call.

import { NodeHttpHandler } from "@smithy/node-http-handler";
import { HttpsProxyAgent } from "hpagent";

// A client that counts what it sends. Neither the SDK nor Node heeds HTTPS_PROXY, so a program that shall go through a
// proxy gives the SDK an agent, as here. All else it finds by itself.
export function clientOf(Client, settings = {}) {
  const agent = new HttpsProxyAgent({ proxy: process.env.HTTPS_PROXY });
  const client = new Client({
    requestHandler: new NodeHttpHandler({ httpsAgent: agent, connectionTimeout: 5_000, requestTimeout: 30_000 }),
    ...settings,
  });
  client.attempts = 0;
  // Inside the retries: what is counted here is what was sent.
  client.middlewareStack.add(
    (next) => (args) => {
      client.attempts += 1;
      return next(args);
    },
    { step: "deserialize", name: "countAttempts" },
  );
  return client;
}

// What the user gets of `call`, and how often the client sent for it.
export async function told(client, call) {
  const before = client.attempts;
  let seen;
  try {
    const output = await call();
    seen = { ok: true, output, ...metadata(output) };
  } catch (error) {
    const { name, message, $fault: fault } = error;
    seen = { ok: false, exception: error.constructor.name, code: name, message, fault, ...metadata(error) };
  }
  return { ...seen, attempts: client.attempts - before };
}

function metadata({ $metadata: known = {} }) {
  return { status: known.httpStatusCode, request_id: known.requestId, attempts_told: known.attempts };
}
