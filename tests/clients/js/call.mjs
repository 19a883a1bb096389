// The AWS SDK for JavaScript v3, as a client of the end-to-end tests: one call, and what its user gets of it as JSON.
//
//   node call.mjs SERVICE OPERATION INPUT PROTOCOL [PROFILE]
//
// PROTOCOL is `json`, what the service speaks by default, or `cbor`. Region, credentials, retry mode and trusted roots
// (NODE_EXTRA_CA_CERTS) come from where the SDK and Node find them by themselves.
// Ends with 0 where AWS answered a success and with 1 where it didn't.

import { AwsSmithyRpcV2CborProtocol } from "@aws-sdk/core/protocols";
import { clientOf, told } from "./told.mjs";

const CLIENTS = {
  ec2: ["@aws-sdk/client-ec2", "EC2Client"],
  evs: ["./evs.mjs", "EvsClient"],
  mgn: ["@aws-sdk/client-mgn", "MgnClient"],
  route53: ["@aws-sdk/client-route-53", "Route53Client"],
  servicecatalog: ["@aws-sdk/client-service-catalog", "ServiceCatalogClient"],
  workspaces: ["@aws-sdk/client-workspaces", "WorkSpacesClient"],
  "workspaces-instances": ["@aws-sdk/client-workspaces-instances", "WorkspacesInstancesClient"],
};

const [service, operation, input, protocol, profile] = process.argv.slice(2);
// As a user's own program takes `--profile`: what it names comes before keys in the environment.
if (profile) process.env.AWS_PROFILE = profile;
const [module, name] = CLIENTS[service];
const sdk = await import(module);
const client = clientOf(sdk[name], protocol === "cbor" ? { protocol: AwsSmithyRpcV2CborProtocol } : {});
const seen = await told(client, () => client.send(new sdk[`${operation}Command`](JSON.parse(input))));
console.log(JSON.stringify(seen));
client.destroy();
process.exitCode = seen.ok ? 0 : 1;
