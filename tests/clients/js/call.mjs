// The AWS SDK for JavaScript v3, as a client of the end-to-end tests: one call, and what its user gets of it as JSON.
//
//   node call.mjs SERVICE OPERATION INPUT PROTOCOL [PROFILE]
//
// PROTOCOL is `json`, what the service speaks by default, or `cbor`. Region, credentials, retry mode and trusted roots (NODE_EXTRA_CA_CERTS) come from where the SDK and Node find them by
// themselves. Neither heeds HTTPS_PROXY, so a program that shall go through a proxy gives the SDK an agent, as here.
// Ends with 0 where AWS answered a success and with 1 where it didn't.

import { AwsSmithyRpcV2CborProtocol } from "@aws-sdk/core/protocols";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { HttpsProxyAgent } from "hpagent";

const CLIENTS = {
  evs: ["./evs.mjs", "EvsClient"],
  mgn: ["@aws-sdk/client-mgn", "MgnClient"],
  servicecatalog: ["@aws-sdk/client-service-catalog", "ServiceCatalogClient"],
  workspaces: ["@aws-sdk/client-workspaces", "WorkSpacesClient"],
  "workspaces-instances": ["@aws-sdk/client-workspaces-instances", "WorkspacesInstancesClient"],
};

const [service, operation, input, protocol, profile] = process.argv.slice(2);
// As a user's own program takes `--profile`: what it names comes before keys in the environment.
if (profile) process.env.AWS_PROFILE = profile;
const [module, name] = CLIENTS[service];
const sdk = await import(module);
const agent = new HttpsProxyAgent({ proxy: process.env.HTTPS_PROXY });
const client = new sdk[name]({
  requestHandler: new NodeHttpHandler({ httpsAgent: agent, connectionTimeout: 5_000, requestTimeout: 30_000 }),
  ...(protocol === "cbor" && { protocol: AwsSmithyRpcV2CborProtocol }),
});

// Inside the retries: what is counted here is what was sent.
let attempts = 0;
client.middlewareStack.add(
  (next) => (args) => {
    attempts += 1;
    return next(args);
  },
  { step: "deserialize", name: "countAttempts" },
);

let seen;
try {
  const output = await client.send(new sdk[`${operation}Command`](JSON.parse(input)));
  seen = { ok: true, output, ...metadata(output) };
} catch (error) {
  const { name, message, $fault: fault } = error;
  seen = { ok: false, exception: error.constructor.name, code: name, message, fault, ...metadata(error) };
}
console.log(JSON.stringify({ ...seen, attempts }));
client.destroy();
process.exitCode = seen.ok ? 0 : 1;

function metadata({ $metadata: known = {} }) {
  return { status: known.httpStatusCode, request_id: known.requestId, attempts_told: known.attempts };
}
