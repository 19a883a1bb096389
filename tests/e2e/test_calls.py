"""What is particular about each of the five APIs."""

import pytest

from apis import CATALOG, EVS, MGN, WORKSPACES
from checks import allowed, denied, error_of
from cloud import ACCOUNT
from upstream import Answer

# --- servicecatalog: by id or by name


def test_a_product_named_by_name_goes_to_aws_by_id(guard, upstream, cloud):
    ident = cloud.add_product(name="desk of finance")
    guard.client("servicecatalog").terminate_provisioned_product(
        ProvisionedProductName="desk of finance", TerminateToken="t-1"
    )
    seen, decision = allowed(guard, upstream, CATALOG)
    assert seen.input == {"ProvisionedProductId": ident, "TerminateToken": "t-1"}
    assert ident not in cloud.products
    assert guard.decision(decision)["resources"][0]["id"] == ident


def test_a_product_named_by_name_is_judged_by_its_tags(guard, upstream, cloud):
    cloud.add_product(name="guarded desk", tags={"protected": "true"})
    client = guard.client("servicecatalog")
    denied(
        guard,
        upstream,
        client,
        lambda: client.terminate_provisioned_product(ProvisionedProductName="guarded desk", TerminateToken="t-2"),
        policy="protected-tag",
    )


def test_a_product_is_protected_by_its_name_as_well(guard, upstream, cloud):
    ident = cloud.add_product(name="shared-desk")
    client = guard.client("servicecatalog")
    denied(guard, upstream, client, lambda: CATALOG.destroy(client, [ident]), policy="protected-id")


@pytest.mark.parametrize("named", [("id", "name"), ()], ids=["both", "neither"])
def test_a_product_must_be_named_in_one_way(guard, upstream, cloud, named):
    ident = cloud.add_product()
    given = {"TerminateToken": "t-3"}
    if named:
        given |= {"ProvisionedProductId": ident, "ProvisionedProductName": cloud.products[ident]["name"]}
    client = guard.client("servicecatalog")
    error = error_of(lambda: client.terminate_provisioned_product(**given))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "ProvisionedProductId" in error.response["Error"]["Message"]
    assert "ProvisionedProductName" in error.response["Error"]["Message"]
    assert client.attempts == 1
    assert upstream.calls() == []


def test_the_fuzzy_search_lends_no_product_anothers_tags(guard, upstream, cloud):
    """A search for the id finds its twin too, on another page, whose tags are not its own."""
    plain = cloud.add_product(ident="pp-twin00000001")
    twin = cloud.add_product(ident="pp-twin000000012", tags={"protected": "true"})
    page, cloud.page = cloud.page, 1
    try:
        client = guard.client("servicecatalog")
        denied(guard, upstream, client, lambda: CATALOG.destroy(client, [twin]), policy="protected-tag")
        upstream.reset()
        CATALOG.destroy(client, [plain])
        allowed(guard, upstream, CATALOG)
    finally:
        cloud.page = page


def test_a_product_that_the_search_does_not_find_is_not_taken_for_untagged(guard, upstream, cloud):
    things = CATALOG.make(cloud, tags={"protected": "true"})
    with upstream.fault("SearchProvisionedProducts", Answer({"ProvisionedProducts": [], "TotalResultsCount": 0})):
        client = guard.client("servicecatalog", retries={"total_max_attempts": 1})
        error_of(lambda: CATALOG.destroy(client, things))
    assert upstream.destructive() == []


# --- mgn: lists, selectors, other accounts


def test_more_source_servers_than_aws_takes_are_refused_before_any_lookup(guard, upstream, cloud):
    client = guard.client("mgn")
    error = error_of(lambda: client.terminate_target_instances(sourceServerIDs=[f"s-{n:017d}" for n in range(201)]))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "sourceServerIDs" in error.response["Error"]["Message"]
    assert upstream.calls() == []
    assert client.attempts == 1


def test_a_selector_beside_ids_is_refused(guard, upstream, cloud):
    things = MGN.make(cloud)
    client = guard.client("mgn")
    denied(
        guard,
        upstream,
        client,
        lambda: client.terminate_target_instances(sourceServerIDs=things, tags={"team": "a"}),
        policy="no-selectors",
    )


def test_archived_servers_have_tags_too(guard, upstream, cloud):
    client = guard.client("mgn")
    guarded = MGN.make(cloud, archived=True, tags={"protected": "true"})
    denied(guard, upstream, client, lambda: MGN.destroy(client, guarded), policy="protected-tag")
    plain = MGN.make(cloud, archived=True)
    MGN.destroy(client, plain)
    allowed(guard, upstream, MGN)


def test_servers_of_another_account_are_looked_up_there(guard, upstream, cloud):
    other = "210987654321"
    things = MGN.make(cloud, account=other, tags={"protected": "true"})
    client = guard.client("mgn")
    record = denied(
        guard,
        upstream,
        client,
        lambda: client.terminate_target_instances(sourceServerIDs=things, accountID=other),
        policy="protected-tag",
    )
    assert record
    assert {seen.input.get("accountID") for seen in upstream.calls("DescribeSourceServers")} == {other}
    assert ACCOUNT != other


def test_servers_of_an_account_out_of_reach_are_not_even_looked_up(guard, upstream, cloud):
    other = "310987654321"
    things = MGN.make(cloud, account=other)
    client = guard.client("mgn")
    for call in (client.terminate_target_instances, client.start_cutover, client.start_test):
        denied(guard, upstream, client, lambda call=call: call(sourceServerIDs=things, accountID=other), reason=other)
    assert upstream.calls("DescribeSourceServers") == []


def test_lookups_of_servers_follow_every_page(guard, upstream, cloud):
    things = [*MGN.make(cloud, 4), *MGN.make(cloud, tags={"protected": "true"})]
    page, cloud.page = cloud.page, 2
    try:
        client = guard.client("mgn")
        denied(guard, upstream, client, lambda: MGN.destroy(client, things), policy="protected-tag")
    finally:
        cloud.page = page


def test_a_server_is_protected_by_its_launched_instance(new_guard, upstream, cloud):
    things = MGN.make(cloud)
    launched = cloud.servers[things[0]]["launched"]
    with new_guard(protected=f'[mgn]\nids = ["{launched}"]\n') as guard:
        client = guard.client("mgn")
        denied(guard, upstream, client, lambda: MGN.destroy(client, things), policy="protected-id")


# --- evs: many machines in one environment


def test_the_machines_of_one_environment_cost_one_lookup(guard, upstream, cloud):
    things = EVS.make(cloud, 8)
    EVS.destroy(guard.client("evs"), things)
    allowed(guard, upstream, EVS)
    assert len(upstream.calls("evs:ListTagsForResource")) == 1
    assert len(upstream.calls("evs:GetEnvironment")) == 1


def test_a_machine_is_protected_by_its_own_id(guard, upstream, cloud):
    environment, connector, _ = cloud.add_environment()
    cloud.environments[environment]["entitlements"][connector] |= {"vm-9999", "vm-1"}
    client = guard.client("evs")
    things = [(environment, connector, "vm-1"), (environment, connector, "vm-9999")]
    record = denied(guard, upstream, client, lambda: EVS.destroy(client, things), policy="protected-id")
    assert {r["id"].rsplit("/", 1)[-1]: r["verdict"] for r in record["resources"]}["vm-9999"] == "refused"


# --- workspaces-instances: creating, and reading what is billed how


def create(client, billing=None):
    given = {"ManagedInstance": {"ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.large"}}
    if billing:
        given["BillingConfiguration"] = {"BillingMode": billing}
    return client.create_workspace_instance(**given, ClientToken="c-1")


@pytest.mark.parametrize("billing", [None, "HOURLY"])
def test_an_instance_billed_by_the_hour_may_be_created(guard, upstream, cloud, billing):
    answer = create(guard.client("workspaces-instances"), billing)
    assert cloud.instances[answer["WorkspaceInstanceId"]]["billing"] == billing
    [seen] = upstream.calls("CreateWorkspaceInstance")
    assert ("BillingConfiguration" in seen.input) == (billing is not None), "what policies assume is never sent"


def test_only_an_admin_may_create_a_monthly_instance(guard, upstream, cloud):
    client = guard.client("workspaces-instances")
    denied(guard, upstream, client, lambda: create(client, "MONTHLY"), policy="monthly-create")
    assert upstream.calls("CreateWorkspaceInstance") == []
    create(guard.client("workspaces-instances", "root"), "MONTHLY")
    assert len(upstream.calls("CreateWorkspaceInstance")) == 1


def test_reads_of_billing_pass(guard, upstream, cloud):
    ident = cloud.add_instance(billing="MONTHLY")
    client = guard.client("workspaces-instances")
    assert client.get_workspace_instance(WorkspaceInstanceId=ident)["BillingConfiguration"] == {
        "BillingMode": "MONTHLY"
    }
    wanted = {"BillingMode": "MONTHLY", "PlatformType": "Windows", "Tenancy": "SHARED"}
    assert client.list_instance_types(InstanceConfigurationFilter=wanted, MaxResults=5)["InstanceTypes"]
    [seen] = upstream.calls("ListInstanceTypes")
    assert seen.input == {"InstanceConfigurationFilter": wanted, "MaxResults": 5}


def test_a_policy_can_refuse_a_read_by_its_filter(new_guard, upstream, cloud):
    policy = """
        @id("base") permit (principal, action, resource);
        @id("no-monthly-prices") @reason("Nobody plans in months.")
        forbid (principal, action == Action::"workspaces-instances:ListInstanceTypes", resource)
        when { context.input has InstanceConfigurationFilter.BillingMode &&
               context.input.InstanceConfigurationFilter.BillingMode == "MONTHLY" };
    """
    with new_guard(policies={"all.cedar": policy}) as guard:
        client = guard.client("workspaces-instances")
        wanted = {"BillingMode": "MONTHLY", "PlatformType": "Windows", "Tenancy": "SHARED"}
        denied(
            guard,
            upstream,
            client,
            lambda: client.list_instance_types(InstanceConfigurationFilter=wanted),
            policy="no-monthly-prices",
            reason="Nobody plans in months.",
        )
        client.list_instance_types(InstanceConfigurationFilter={**wanted, "BillingMode": "HOURLY"})


def test_a_volume_is_judged_by_the_instance_that_loses_it(guard, upstream, cloud):
    client = guard.client("workspaces-instances")
    guarded, plain = cloud.add_instance(tags={"protected": "true"}), cloud.add_instance()
    denied(
        guard,
        upstream,
        client,
        lambda: client.disassociate_volume(WorkspaceInstanceId=guarded, VolumeId="vol-0123456789abcdef0"),
        policy="protected-tag",
    )
    assert upstream.calls("DisassociateVolume") == []
    client.disassociate_volume(WorkspaceInstanceId=plain, VolumeId="vol-0123456789abcdef0")
    assert len(upstream.calls("DisassociateVolume")) == 1


# --- other guarded operations of the services


@pytest.mark.parametrize(
    "method, given",
    [
        ("rebuild_workspaces", lambda i: {"RebuildWorkspaceRequests": [{"WorkspaceId": i}]}),
        ("reboot_workspaces", lambda i: {"RebootWorkspaceRequests": [{"WorkspaceId": i}]}),
        ("stop_workspaces", lambda i: {"StopWorkspaceRequests": [{"WorkspaceId": i}]}),
        ("restore_workspace", lambda i: {"WorkspaceId": i}),
        ("migrate_workspace", lambda i: {"SourceWorkspaceId": i, "BundleId": "wsb-12345678"}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_other_ways_of_losing_a_workspace_are_judged_alike(guard, upstream, cloud, method, given):
    client = guard.client("workspaces")
    guarded, plain = cloud.add_workspace(tags={"protected": "true"}), cloud.add_workspace()
    operation = "".join(part.capitalize() for part in method.split("_"))
    denied(guard, upstream, client, lambda: getattr(client, method)(**given(guarded)), policy="protected-tag")
    assert upstream.calls(operation) == []
    getattr(client, method)(**given(plain))
    [seen] = upstream.calls(operation)
    assert seen.input == given(plain)


def test_an_id_in_capitals_is_not_another_id(guard, upstream, cloud):
    """A protected id in another spelling must not slip through: AWS doesn't know it, so nothing is sent."""
    [ident] = WORKSPACES.make(cloud, listed=True)
    client = guard.client("workspaces")
    denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, [ident.upper()]))
