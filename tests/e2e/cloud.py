"""What the stand-in for AWS knows and does: five services over plain dictionaries.

Answers are shaped as AWS's service models say. An operation that isn't listed here answers an empty success, so
that calls which merely pass can be any.
"""

import itertools
import re
import time
from dataclasses import dataclass, field

ACCOUNT = "123456789012"
REGION = "us-east-1"

HANDLERS = {}


class AwsError(Exception):
    """An error that AWS answers."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class Cloud:
    """The state. Every id is made anew, so that no test sees another's resources, nor a cached fact of them."""

    workspaces: dict = field(default_factory=dict)
    instances: dict = field(default_factory=dict)
    products: dict = field(default_factory=dict)
    servers: dict = field(default_factory=dict)
    environments: dict = field(default_factory=dict)
    page: int = 100
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def number(self):
        return next(self._numbers)

    def add_workspace(self, *, tags=None, mode="AUTO_STOP", listed=False):
        ident = f"ws-{'prod' if listed else 'desk'}{self.number():05d}"
        self.workspaces[ident] = {"tags": dict(tags or {}), "mode": mode, "state": "AVAILABLE"}
        return ident

    def add_instance(self, *, tags=None, billing="HOURLY", listed=False):
        ident = f"wsinst-{'prod' if listed else 'desk'}{self.number():05d}"
        self.instances[ident] = {"tags": dict(tags or {}), "billing": billing, "state": "ALLOCATED"}
        return ident

    def add_product(self, *, tags=None, ident=None, name=None, listed=False):
        number = self.number()
        ident = ident or f"pp-{'prod' if listed else 'prov'}{number:09d}"
        self.products[ident] = {"tags": dict(tags or {}), "name": name or f"desk-{number}"}
        return ident

    def add_server(self, *, tags=None, archived=False, account=ACCOUNT, listed=False):
        ident = f"s-{'prod' if listed else 'serv'}{self.number():013d}"
        self.servers[ident] = {
            "tags": dict(tags or {}),
            "archived": archived,
            "account": account,
            "launched": f"i-{self.number():017x}",
        }
        return ident

    def add_environment(self, *, tags=None, machines=0, listed=False):
        """An environment with one connector and `machines` entitlements; answers (environment, connector, vms)."""
        number = self.number()
        environment = f"env-{'prod' if listed else 'vsan'}{number:06d}"
        connector = f"cnctr-vcen{number:06d}"
        vms = [f"vm-{self.number()}" for _ in range(machines)]
        self.environments[environment] = {"tags": dict(tags or {}), "entitlements": {connector: set(vms)}}
        return environment, connector, vms


def operation(service, name):
    def register(function):
        HANDLERS[service, name] = function
        return function

    return register


def _pairs(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _known(table, ident, code="ResourceNotFoundException"):
    if ident not in table:
        raise AwsError(code, f"{ident} does not exist")
    return table[ident]


# --- workspaces


@operation("workspaces", "TerminateWorkspaces")
def _(cloud, body):
    failed = []
    for request in body["TerminateWorkspaceRequests"]:
        if cloud.workspaces.pop(request["WorkspaceId"], None) is None:
            failed.append(
                {
                    "WorkspaceId": request["WorkspaceId"],
                    "ErrorCode": "ResourceNotFound.Workspace",
                    "ErrorMessage": "The WorkSpace does not exist.",
                }
            )
    return {"FailedRequests": failed}


@operation("workspaces", "DescribeTags")
def _(cloud, body):
    return {"TagList": _pairs(_known(cloud.workspaces, body["ResourceId"])["tags"])}


@operation("workspaces", "DescribeWorkspaces")
def _(cloud, body):
    wanted = body.get("WorkspaceIds") or list(cloud.workspaces)[:25]
    if len(wanted) > 25:
        raise AwsError("ValidationException", "at most 25 WorkspaceIds")
    found = [
        {
            "WorkspaceId": ident,
            "DirectoryId": "d-9067000001",
            "UserName": "user",
            "State": cloud.workspaces[ident]["state"],
            "WorkspaceProperties": {"RunningMode": cloud.workspaces[ident]["mode"]},
        }
        for ident in wanted
        if ident in cloud.workspaces
    ]
    return {"Workspaces": found}


@operation("workspaces", "CreateTags")
def _(cloud, body):
    tags = _known(cloud.workspaces, body["ResourceId"])["tags"]
    tags.update({tag["Key"]: tag.get("Value", "") for tag in body["Tags"]})
    return {}


@operation("workspaces", "DeleteTags")
def _(cloud, body):
    tags = _known(cloud.workspaces, body["ResourceId"])["tags"]
    for key in body["TagKeys"]:
        tags.pop(key, None)
    return {}


@operation("workspaces", "StopWorkspaces")
def _(cloud, body):
    for request in body["StopWorkspaceRequests"]:
        _known(cloud.workspaces, request["WorkspaceId"])["state"] = "STOPPED"
    return {"FailedRequests": []}


# --- workspaces-instances


@operation("workspaces-instances", "DeleteWorkspaceInstance")
def _(cloud, body):
    _known(cloud.instances, body["WorkspaceInstanceId"])
    del cloud.instances[body["WorkspaceInstanceId"]]
    return {}


@operation("workspaces-instances", "CreateWorkspaceInstance")
def _(cloud, body):
    billing = body.get("BillingConfiguration", {}).get("BillingMode")
    tags = {tag["Key"]: tag["Value"] for tag in body.get("Tags", [])}
    return {"WorkspaceInstanceId": cloud.add_instance(tags=tags, billing=billing)}


@operation("workspaces-instances", "GetWorkspaceInstance")
def _(cloud, body):
    ident = body["WorkspaceInstanceId"]
    instance = _known(cloud.instances, ident)
    answer = {"WorkspaceInstanceId": ident, "ProvisionState": instance["state"]}
    if instance["billing"]:
        answer["BillingConfiguration"] = {"BillingMode": instance["billing"]}
    return answer


@operation("workspaces-instances", "ListTagsForResource")
def _(cloud, body):
    return {"Tags": _pairs(_known(cloud.instances, body["WorkspaceInstanceId"])["tags"])}


@operation("workspaces-instances", "TagResource")
def _(cloud, body):
    tags = _known(cloud.instances, body["WorkspaceInstanceId"])["tags"]
    tags.update({tag["Key"]: tag["Value"] for tag in body["Tags"]})
    return {}


@operation("workspaces-instances", "UntagResource")
def _(cloud, body):
    tags = _known(cloud.instances, body["WorkspaceInstanceId"])["tags"]
    for key in body["TagKeys"]:
        tags.pop(key, None)
    return {}


@operation("workspaces-instances", "ListInstanceTypes")
def _(cloud, body):
    return {"InstanceTypes": [{"InstanceType": "t3.large"}, {"InstanceType": "m7i.large"}]}


@operation("workspaces-instances", "ListWorkspaceInstances")
def _(cloud, body):
    return {"WorkspaceInstances": [{"WorkspaceInstanceId": ident} for ident in cloud.instances]}


# --- servicecatalog


def _product(cloud, ident, name):
    if (ident is None) == (name is None):
        raise AwsError("InvalidParametersException", "give an id or a name")
    for known, product in cloud.products.items():
        if known == ident or product["name"] == name:
            return known, product
    raise AwsError("ResourceNotFoundException", f"provisioned product {ident or name} not found")


def _product_arn(ident):
    return f"arn:aws:servicecatalog:{REGION}:{ACCOUNT}:stack/{ident}"


@operation("servicecatalog", "TerminateProvisionedProduct")
def _(cloud, body):
    ident, product = _product(cloud, body.get("ProvisionedProductId"), body.get("ProvisionedProductName"))
    del cloud.products[ident]
    return {
        "RecordDetail": {
            "RecordId": "rec-0123456789012",
            "ProvisionedProductId": ident,
            "ProvisionedProductName": product["name"],
            "Status": "CREATED",
            "RecordType": "TERMINATE_PROVISIONED_PRODUCT",
            "CreatedTime": int(time.time()),
        }
    }


@operation("servicecatalog", "DescribeProvisionedProduct")
def _(cloud, body):
    ident, product = _product(cloud, body.get("Id"), body.get("Name"))
    return {
        "ProvisionedProductDetail": {
            "Id": ident,
            "Name": product["name"],
            "Arn": _product_arn(ident),
            "Type": "CFN_STACK",
            "Status": "AVAILABLE",
            "CreatedTime": 1700000000.25,
        }
    }


@operation("servicecatalog", "SearchProvisionedProducts")
def _(cloud, body):
    """Fuzzy, as AWS is: whatever contains the words asked for, in pages."""
    level = body.get("AccessLevelFilter", {"Key": "User", "Value": "self"})
    if level != {"Key": "Account", "Value": "self"}:
        return {"ProvisionedProducts": [], "TotalResultsCount": 0}
    words = [query.split(":", 1)[-1] for query in body.get("Filters", {}).get("SearchQuery", [])]
    found = [
        {
            "Id": ident,
            "Name": product["name"],
            "Arn": _product_arn(ident),
            "Status": "AVAILABLE",
            "Tags": _pairs(product["tags"]),
        }
        for ident, product in cloud.products.items()
        if all(word in ident or word in product["name"] for word in words)
    ]
    return _paged(cloud, found, "ProvisionedProducts", body.get("PageToken"), "NextPageToken")


@operation("servicecatalog", "DescribeProductAsAdmin")
def _(cloud, body):
    raise AwsError("ResourceNotFoundException", "there are no products")


def _paged(cloud, items, member, token, token_member):
    start = int(token or 0)
    answer = {member: items[start : start + cloud.page]}
    if start + cloud.page < len(items):
        answer[token_member] = str(start + cloud.page)
    return answer


# --- mgn


@operation("mgn", "TerminateTargetInstances")
def _(cloud, body):
    for ident in body["sourceServerIDs"]:
        _known(cloud.servers, ident)["launched"] = None
    return {
        "job": {
            "jobID": "mgnjob-0123456789abcdef0",
            "type": "TERMINATE",
            "status": "PENDING",
            "participatingServers": [{"sourceServerID": ident} for ident in body["sourceServerIDs"]],
        }
    }


@operation("mgn", "DescribeSourceServers")
def _(cloud, body):
    filters = body.get("filters", {})
    wanted = filters.get("sourceServerIDs", list(cloud.servers))
    account = body.get("accountID", ACCOUNT)
    found = []
    for ident in wanted:
        server = cloud.servers.get(ident)
        if server is None or server["account"] != account:
            continue
        if server["archived"] != filters.get("isArchived", False):
            continue
        item = {
            "sourceServerID": ident,
            "arn": f"arn:aws:mgn:{REGION}:{account}:source-server/{ident}",
            "isArchived": server["archived"],
            "tags": server["tags"],
            "lifeCycle": {"state": "READY_FOR_CUTOVER", "addedToServiceDateTime": "2026-01-02T03:04:05Z"},
        }
        if server["launched"]:
            item["launchedInstance"] = {"ec2InstanceID": server["launched"]}
        found.append(item)
    return _paged(cloud, found, "items", body.get("nextToken"), "nextToken")


@operation("mgn", "TagResource")
def _(cloud, body):
    _known(cloud.servers, body["resourceArn"].rsplit("/", 1)[-1])["tags"].update(body["tags"])
    return {}


@operation("mgn", "UntagResource")
def _(cloud, body):
    tags = _known(cloud.servers, body["resourceArn"].rsplit("/", 1)[-1])["tags"]
    for key in body["tagKeys"]:
        tags.pop(key, None)
    return {}


# --- evs


def _environment_arn(ident):
    return f"arn:aws:evs:{REGION}:{ACCOUNT}:environment/{ident}"


@operation("evs", "DeleteEntitlement")
def _(cloud, body):
    environment = _known(cloud.environments, body["environmentId"])
    machines = _known(environment["entitlements"], body["connectorId"])
    for vm in body["vmIds"]:
        if vm not in machines:
            raise AwsError("ResourceNotFoundException", f"{vm} has no entitlement")
    machines.difference_update(body["vmIds"])
    return {
        "entitlements": [
            {
                "vmId": vm,
                "environmentId": body["environmentId"],
                "connectorId": body["connectorId"],
                "type": body["entitlementType"],
                "status": "DELETED",
            }
            for vm in body["vmIds"]
        ]
    }


@operation("evs", "GetEnvironment")
def _(cloud, body):
    ident = body["environmentId"]
    _known(cloud.environments, ident)
    return {
        "environment": {
            "environmentId": ident,
            "environmentName": f"name of {ident}",
            "environmentArn": _environment_arn(ident),
            "environmentState": "CREATED",
            "createdAt": 1700000000.5,
        }
    }


@operation("evs", "ListTagsForResource")
def _(cloud, body):
    return {"tags": _known(cloud.environments, body["resourceArn"].rsplit("/", 1)[-1])["tags"]}


@operation("evs", "TagResource")
def _(cloud, body):
    _known(cloud.environments, body["resourceArn"].rsplit("/", 1)[-1])["tags"].update(body["tags"])
    return {}


@operation("evs", "UntagResource")
def _(cloud, body):
    tags = _known(cloud.environments, body["resourceArn"].rsplit("/", 1)[-1])["tags"]
    for key in body["tagKeys"]:
        tags.pop(key, None)
    return {}


@operation("evs", "ListEnvironments")
def _(cloud, body):
    return {"environmentSummaries": [{"environmentId": ident} for ident in cloud.environments]}


def is_destructive(name):
    return re.match(r"(Delete|Terminate)(?!Tags)", name) is not None
