// A client of EVS from the SDK's own parts: its serialiser of awsJson1_0, its signer, its retries and its errors, held
// together as a generated client holds them. Only what AWS's model of the service says is written down here, for the
// one operation that the tests call. A client of another service lends the stack of middlewares.

import { WorkspacesInstancesClient } from "@aws-sdk/client-workspaces-instances";
import { AwsJson1_0Protocol } from "@aws-sdk/core/protocols";
import { makeBuilder, ServiceException } from "@smithy/core/client";
import { getEndpointPlugin } from "@smithy/core/endpoints";
import { TypeRegistry } from "@smithy/core/schema";

const NAMESPACE = "com.amazonaws.evs";
const SYNTHETIC = `smithy.ts.sdk.synthetic.${NAMESPACE}`;

export class EvsServiceException extends ServiceException {}
export class ResourceNotFoundException extends EvsServiceException {}

// Kinds of shape in a schema: 3 structure, 1 list, 9 operation, -3 error; a member that is 0 is text, 64 a list of it.
const own = new TypeRegistry(SYNTHETIC);
own.registerError([-3, SYNTHETIC, "EvsServiceException", 0, [], []], EvsServiceException);
const modelled = new TypeRegistry(NAMESPACE);
modelled.registerError(
  [-3, NAMESPACE, "ResourceNotFoundException", { error: "client" }, ["message"], [0]],
  ResourceNotFoundException,
);

const request = [
  3,
  NAMESPACE,
  "DeleteEntitlementRequest",
  0,
  ["clientToken", "environmentId", "connectorId", "entitlementType", "vmIds"],
  [[0, { idempotencyToken: 1 }], 0, 0, 0, 64 | 0],
];
const entitlement = [
  3,
  NAMESPACE,
  "VmEntitlement",
  0,
  ["vmId", "environmentId", "connectorId", "type", "status"],
  [0, 0, 0, 0, 0],
];
const response = [
  3,
  NAMESPACE,
  "DeleteEntitlementResponse",
  0,
  ["entitlements"],
  [[1, NAMESPACE, "VmEntitlementList", 0, entitlement]],
];
const operation = [9, NAMESPACE, "DeleteEntitlement", 0, () => request, () => response];

export class EvsClient extends WorkspacesInstancesClient {
  constructor(configuration) {
    super({
      endpointProvider: ({ Region: region }) => ({
        url: new URL(`https://evs.${region}.amazonaws.com`),
        properties: { authSchemes: [{ name: "sigv4", signingName: "evs", signingRegion: region }] },
      }),
      protocol: AwsJson1_0Protocol,
      protocolSettings: {
        defaultNamespace: NAMESPACE,
        errorTypeRegistries: [own, modelled],
        version: "2023-07-27",
        serviceTarget: "AmazonElasticVMwareService",
      },
      serviceId: "evs",
      ...configuration,
    });
  }
}

const parameters = { Region: { type: "builtInParams", name: "region" } };
const command = makeBuilder(parameters, "AmazonElasticVMwareService", "EvsClient", getEndpointPlugin);

export class DeleteEntitlementCommand extends command({}, () => [], "DeleteEntitlement", operation) {}
