"""A guard that can't do what it is told doesn't start, and says why."""

import pytest

from apis import WORKSPACES
from checks import denied
from guard import NotStarted

BASE = '@id("base") permit (principal, action, resource);\n'


def not_started(guard, *words):
    with pytest.raises(NotStarted) as refused:
        guard.start()
    assert refused.value.code not in (None, 0)
    for word in words:
        assert word in refused.value.output, refused.value.output
    assert "panicked" not in refused.value.output
    return refused.value.output


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"listne": "127.0.0.1:0"}, ["palisade.toml", "listne", "listen"]),
        ({"upstream.timeuot": "5s"}, ["timeuot", "timeout"]),
        ({"upstream.timeout": 5}, ["timeout"]),
        ({"upstream.timeout": "2m"}, ["timeout"]),
        ({"mode": "enfroce"}, ["enfroce"]),
        ({"identity.foreign_keys": "pass"}, ["foreign_keys", "passthrough"]),
        ({"batch.partial": "filter"}, ["filter"]),
        ({"state.store": "redis://localhost"}, ["store"]),
        ({"upstream.proxy": "socks5://localhost:1"}, ["upstream.proxy"]),
        ({"upstream.no_proxy": ["localhost"]}, ["upstream.no_proxy", "upstream.proxy"]),
        ({"upstream.dangerous_override": "http://example.com"}, ["dangerous_override"]),
        ({"upstream.ca_file": "nowhere.pem"}, ["nowhere.pem"]),
        ({"protected": "nowhere.toml"}, ["nowhere.toml"]),
        ({"policies": "nowhere"}, ["nowhere"]),
        ({"catalog": "nowhere.bin"}, ["nowhere.bin"]),
        ({"listen": "127.0.0.1"}, ["listen"]),
        ({"egress.private_cidrs": ["10.0.0.0/33"]}, ["private_cidrs"]),
    ],
    ids=lambda v: next(iter(v.items())) if isinstance(v, dict) else "",
)
def test_a_bad_setting_is_named(new_guard, settings, words):
    not_started(new_guard(settings=settings), *words)


def test_a_caller_without_its_credentials_is_named(new_guard):
    guard = new_guard()
    guard.config.write_text(guard.config.read_text().replace('credentials = "prod"', 'credentials = "prdo"', 1))
    not_started(guard, "prdo", "prod")


def test_a_misspelt_variable_is_named(new_guard):
    not_started(new_guard(variables={"PALISADE_LISTNE": "127.0.0.1:0"}), "PALISADE_LISTNE", "PALISADE_LISTEN")


@pytest.mark.parametrize(
    "policy, words",
    [
        ("forbid (principal, action, resource", []),
        (
            '@id("x") @reason("r") forbid (principal, action == Action::"workspaces:TerminateWorkspace", resource);',
            ["workspaces:TerminateWorkspace", "workspaces:TerminateWorkspaces"],
        ),
        ('@id("x") @reason("r") forbid (principal in Group::"deplyoers", action, resource);', ["deplyoers"]),
        ('@id("x") @reason("r") forbid (principal, action == Action::"destroy", resource);', ["destroy"]),
        ('@id("x") @reason("r") forbid (principal, action, resource) when { resource.colour == "red" };', ["colour"]),
        (
            '@id("x") @reason("r") forbid (principal, action, resource) when { resource.getTag("a") == "b" };',
            ["hasTag"],
        ),
        (
            '@id("x") @reason("r") forbid (principal, action in Action::"destroy", resource) when '
            '{ context.batchSize > "ten" };',
            [],
        ),
        ('@id("base") permit (principal, action, resource);', ["base"]),
        ('@id("x") forbid (principal, action, resource);', ["reason"]),
        ('@reason("r") forbid (principal, action, resource);', ["id"]),
        ('@id("x") @reason("r") @mode("monitro") forbid (principal, action, resource);', ["monitro", "monitor"]),
        ('@id("x") @mode("monitor") permit (principal, action, resource);', ["is for a forbid"]),
        ('@id("x") @reason("r") @aproval("sre") forbid (principal, action, resource);', ["aproval"]),
    ],
    ids=[
        "syntax",
        "action",
        "group",
        "group as action",
        "attribute",
        "tag without has",
        "type",
        "id twice",
        "no reason",
        "no id",
        "mode",
        "mode of a permit",
        "unknown annotation",
    ],
)
def test_a_bad_policy_is_named_with_file_and_line(new_guard, policy, words):
    guard = new_guard(policies={"base.cedar": BASE, "more.cedar": f"// one line\n\n{policy}\n"})
    output = not_started(guard, "more.cedar", *words)
    assert any(f"more.cedar:{line}" in output for line in (3, 4)), output
    checked = guard.run("policy", "check")
    assert checked.returncode != 0
    assert "more.cedar:" in checked.stdout + checked.stderr


def test_a_folder_without_policies_does_not_start(new_guard):
    not_started(new_guard(policies={}), "policies")


def test_a_protected_list_of_a_service_that_is_none_does_not_start(new_guard):
    not_started(new_guard(protected='[workspace]\nids = ["ws-1"]\n'), "workspace", "workspaces", "protected.toml")


def test_a_good_set_checks(guard, upstream):
    done = guard.run("policy", "check")
    assert done.returncode == 0, done.stderr


def test_a_port_in_use_is_named(new_guard, guard, upstream):
    not_started(new_guard(settings={"listen": guard.listen}), guard.listen)


def test_without_policies_of_ones_own_the_starter_set_is_in_force(guard, upstream, cloud):
    client = guard.client("workspaces")
    things = WORKSPACES.make(cloud, tags={"protected": "yes"})
    denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, things), policy="protected-tag")


def test_policies_of_ones_own_take_its_place(new_guard, upstream, cloud):
    only = """
        @id("fridays") @reason("Not on a desk of finance.")
        forbid (principal, action in Action::"destroy", resource)
        when { resource.hasTag("owner") && resource.getTag("owner") == "finance" };
    """
    with new_guard(policies={"all.cedar": BASE + only}) as guard:
        client = guard.client("workspaces")
        denied(
            guard,
            upstream,
            client,
            lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud, tags={"owner": "finance"})),
            policy="fridays",
            reason="Not on a desk of finance.",
        )
        things = WORKSPACES.make(cloud, tags={"protected": "yes"})
        WORKSPACES.destroy(client, things)
        assert not WORKSPACES.alive(cloud, things)


def test_a_policy_that_cannot_be_evaluated_refuses(new_guard, upstream, cloud):
    """Cedar skips a policy that errs, a forbid too: the guard doesn't allow on such a day."""
    errs = """
        @id("overflow") @reason("Too much.")
        forbid (principal, action in Action::"destroy", resource)
        when { context.batchSize * 9223372036854775807 * 9223372036854775807 == 4 };
    """
    with new_guard(policies={"all.cedar": BASE + errs}) as guard:
        client = guard.client("workspaces")
        things = WORKSPACES.make(cloud, 2)
        denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, things))
