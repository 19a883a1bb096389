"""The five APIs as data: how to make something that each destroys, and how to ask for it."""

import json
from dataclasses import dataclass

from cloud import REGION, Cloud


@dataclass(frozen=True)
class Api:
    service: str
    operation: str
    method: str
    # The starter policy that bounds its batches and the largest batch that passes; `None`: it names one thing.
    batch_policy: str | None = None
    batch_max: int = 1
    suffix: str = "amazonaws.com"

    def __str__(self):
        return f"{self.service}:{self.operation}"

    @property
    def host(self):
        return f"{self.service}.{REGION}.{self.suffix}"

    def make(self, cloud: Cloud, count=1, **traits):
        """Things in the cloud with these traits (`tags`, `listed`, …), as this API names them."""
        raise NotImplementedError

    def params(self, things):
        """The input that destroys them."""
        raise NotImplementedError

    def cli(self, things):
        """The same as arguments of the AWS CLI."""
        raise NotImplementedError

    def alive(self, cloud: Cloud, things):
        """Which of them are still there."""
        raise NotImplementedError

    def destroy(self, client, things):
        return getattr(client, self.method)(**self.params(things))

    def command(self, things):
        return [self.service, self.method.replace("_", "-"), *self.cli(things)]


class Workspaces(Api):
    target = "WorkspacesService"
    json_version = "1.1"

    def make(self, cloud, count=1, **traits):
        return [cloud.add_workspace(**traits) for _ in range(count)]

    def params(self, things):
        return {"TerminateWorkspaceRequests": [{"WorkspaceId": ident} for ident in things]}

    def cli(self, things):
        return ["--terminate-workspace-requests", *things]

    def alive(self, cloud, things):
        return [ident for ident in things if ident in cloud.workspaces]


class WorkspacesInstances(Api):
    target = "EUCMIFrontendAPIService"
    json_version = "1.0"

    def make(self, cloud, count=1, **traits):
        return [cloud.add_instance(**traits) for _ in range(count)]

    def params(self, things):
        return {"WorkspaceInstanceId": things[0]}

    def cli(self, things):
        return ["--workspace-instance-id", things[0]]

    def alive(self, cloud, things):
        return [ident for ident in things if ident in cloud.instances]


class ServiceCatalog(Api):
    target = "AWS242ServiceCatalogService"
    json_version = "1.1"

    def make(self, cloud, count=1, **traits):
        return [cloud.add_product(**traits) for _ in range(count)]

    def params(self, things):
        return {"ProvisionedProductId": things[0], "TerminateToken": "0f4a2b1c-token"}

    def cli(self, things):
        return ["--provisioned-product-id", things[0], "--terminate-token", "0f4a2b1c-token"]

    def alive(self, cloud, things):
        return [ident for ident in things if ident in cloud.products]


class Mgn(Api):
    target = None

    def make(self, cloud, count=1, **traits):
        return [cloud.add_server(**traits) for _ in range(count)]

    def params(self, things):
        return {"sourceServerIDs": things}

    def cli(self, things):
        return ["--source-server-ids", *things]

    def alive(self, cloud, things):
        return [ident for ident in things if cloud.servers[ident]["launched"]]


class Evs(Api):
    """A thing is `(environment, connector, vm)`."""

    target = "AmazonElasticVMwareService"
    json_version = "1.0"

    def make(self, cloud, count=1, **traits):
        environment, connector, vms = cloud.add_environment(machines=count, **traits)
        return [(environment, connector, vm) for vm in vms]

    def params(self, things):
        environment, connector, _ = things[0]
        return {
            "clientToken": "5f0c-token",
            "environmentId": environment,
            "connectorId": connector,
            "entitlementType": "WINDOWS_SERVER",
            "vmIds": [vm for _, _, vm in things],
        }

    def cli(self, things):
        params = self.params(things)
        return [
            "--client-token",
            params["clientToken"],
            "--environment-id",
            params["environmentId"],
            "--connector-id",
            params["connectorId"],
            "--entitlement-type",
            params["entitlementType"],
            "--vm-ids",
            *params["vmIds"],
        ]

    def alive(self, cloud, things):
        return [t for t in things if t[2] in cloud.environments[t[0]]["entitlements"][t[1]]]


WORKSPACES = Workspaces("workspaces", "TerminateWorkspaces", "terminate_workspaces", "max-batch-workspaces", 10)
INSTANCES = WorkspacesInstances(
    "workspaces-instances", "DeleteWorkspaceInstance", "delete_workspace_instance", suffix="api.aws"
)
CATALOG = ServiceCatalog("servicecatalog", "TerminateProvisionedProduct", "terminate_provisioned_product")
MGN = Mgn("mgn", "TerminateTargetInstances", "terminate_target_instances", "max-batch-mgn", 20)
EVS = Evs("evs", "DeleteEntitlement", "delete_entitlement", "max-batch-evs", 10)

APIS = [WORKSPACES, INSTANCES, CATALOG, MGN, EVS]
BATCHES = [api for api in APIS if api.batch_policy]


def wire(api, body, operation=None):
    """Method, path and headers of a hand-made request to an API, and its body."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    operation = operation or api.operation
    if api.target is None:
        return "POST", f"/{operation}", {"Content-Type": "application/json"}, body
    headers = {
        "Content-Type": f"application/x-amz-json-{api.json_version}",
        "X-Amz-Target": f"{api.target}.{operation}",
    }
    return "POST", "/", headers, body
