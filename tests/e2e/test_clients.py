"""The matrix: every client with every API, allowed and denied, and what its user gets in either case.

Allowed: AWS's answer, of one request that reached AWS. Denied: an exception whose code is AccessDeniedException and
whose message says why, at the first attempt, and nothing reached AWS.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from apis import APIS
from checks import decision_id_in, reasons
from clients import CLIENTS, KINDS
from guard import REPOSITORY, Guard
from upstream import CREDENTIALS

STARTER = {file.name: file.read_text() for file in sorted((REPOSITORY / "policies").glob("*.cedar"))}
# The starter set lets everybody read what is billed how; these don't, so that the reads are denied too.
READS = """
@id("no-production-reads") @reason("How production is billed is not for everybody's eyes.")
forbid (principal, action == Action::"workspaces-instances:GetWorkspaceInstance", resource)
when { context.input has WorkspaceInstanceId && context.input.WorkspaceInstanceId like "wsinst-prod*" };

@id("no-monthly-prices") @reason("Nobody plans in months.")
forbid (principal, action == Action::"workspaces-instances:ListInstanceTypes", resource)
when { context.input has InstanceConfigurationFilter.BillingMode &&
       context.input.InstanceConfigurationFilter.BillingMode == "MONTHLY" };
"""
REASONS = reasons("\n".join([*STARTER.values(), READS]))


@dataclass(frozen=True)
class Case:
    """A call that is allowed of one thing and denied of another."""

    service: str
    operation: str
    policy: str
    # Of a cloud: the input that is allowed, and the one that `policy` denies.
    allowed: object
    denied: object

    def __str__(self):
        return f"{self.service}:{self.operation}"


def destroying(api):
    return Case(
        api.service,
        api.operation,
        "protected-tag",
        lambda cloud: api.params(api.make(cloud, tags={"owner": "finance"})),
        lambda cloud: api.params(api.make(cloud, tags={"protected": "true"})),
    )


def billed(operation, policy, given):
    return Case("workspaces-instances", operation, policy, given("HOURLY"), given("MONTHLY"))


def _creation(mode):
    managed = {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.large"}
    given = {"ClientToken": "c-1", "ManagedInstance": managed, "BillingConfiguration": {"BillingMode": mode}}
    return lambda cloud: given


def _reading(mode):
    return lambda cloud: {"WorkspaceInstanceId": cloud.add_instance(billing=mode, listed=mode == "MONTHLY")}


def _listing(mode):
    given = {"InstanceConfigurationFilter": {"BillingMode": mode, "PlatformType": "Windows", "Tenancy": "SHARED"}}
    return lambda cloud: given


DESTROYING = [destroying(api) for api in APIS]
BILLED = [
    billed("CreateWorkspaceInstance", "monthly-create", _creation),
    billed("GetWorkspaceInstance", "no-production-reads", _reading),
    billed("ListInstanceTypes", "no-monthly-prices", _listing),
]
MATRIX = [
    pytest.param(client, case, id=f"{client}-{case}")
    for client in CLIENTS
    for case in [*DESTROYING, *(BILLED if client in KINDS else ())]
    if case.service in client.speaks
]


@pytest.fixture(scope="module")
def guard(_upstream, tmp_path_factory):
    """One for the whole matrix, with policies on reads besides the starter set."""
    folder = tmp_path_factory.mktemp("matrix")
    policies = {**STARTER, "reads.cedar": READS}
    with Guard(folder, upstream=_upstream.url, ca_file=_upstream.ca, policies=policies) as running:
        running.key("ci")
        yield running


@pytest.mark.parametrize("client, case", MATRIX)
def test_what_is_allowed_reaches_aws_once(guard, upstream, cloud, tmp_path, client, case):
    before = len(decisions(guard, case))
    given = case.allowed(cloud)
    told = client.call(guard, tmp_path, case.service, case.operation, given)
    assert told.ok, told.text
    assert told.attempts in (1, None)
    [seen] = forwarded(upstream, case)
    assert seen.input.items() >= given.items()
    assert seen.access_key == CREDENTIALS.access_key
    assert told.request_id in (seen.request_id, None)
    [record] = decisions(guard, case)[before:]
    assert record["verdict"] == "allowed"
    assert guard.outcome(record["decision_id"])["outcome"] == "sent"


@pytest.mark.parametrize("client, case", MATRIX)
def test_what_is_denied_is_told_at_once_and_why(guard, upstream, cloud, tmp_path, client, case):
    before = len(decisions(guard, case))
    told = client.call(guard, tmp_path, case.service, case.operation, case.denied(cloud))
    assert not told.ok, told.text
    assert (told.exception, told.code) == (EXCEPTIONS[client.name.split()[0]](case.service), "AccessDeniedException")
    assert told.attempts in (1, None)
    assert case.policy in told.message
    assert REASONS[case.policy] in told.message
    assert forwarded(upstream, case) == []
    decision = decision_id_in(told.message)
    assert told.request_id in (decision, None)
    guard.decision(decision)
    [record] = decisions(guard, case)[before:]
    assert (record["decision_id"], record["verdict"]) == (decision, "refused")
    assert case.policy in record["policies"]


# The class of the exception where a model names AccessDeniedException among the errors that the client knows of the
# service or of the operation; where none does, the service's base class, with the code all the same.
_MODELLED = {"workspaces", "workspaces-instances", "mgn"}
_BASE = {"servicecatalog": "ServiceCatalogServiceException", "evs": "EvsServiceException"}
EXCEPTIONS = {
    "boto3": lambda service: "AccessDeniedException" if service in _MODELLED else "ClientError",
    "AWS": lambda service: "exit 255",
    "JavaScript": lambda service: _BASE.get(service, "AccessDeniedException"),
    "Rust": lambda service: "Unhandled" if service == "evs" else "AccessDeniedException",
}


def decisions(guard, case):
    """The records of what was decided of such calls: one for each attempt that reached the guard."""
    return [
        record["unmapped"]["palisade"]
        for record in guard.journal()
        if record["unmapped"]["palisade"]["phase"] == "decision"
        and (record["api"]["service"]["name"], record["api"]["operation"]) == (case.service, case.operation)
    ]


def forwarded(upstream, case):
    """What reached AWS of such calls, besides what the guard looked up for itself."""
    return [seen for seen in upstream.calls(str(case)) if not seen.user_agent.endswith(" lookup")]
