//! What is shown: scenes of calls, each with what must become of it. A starter policy that no step shows fails a
//! test.

use serde_json::{Value, json};

use crate::sandbox::seed;

/// Calls that belong together.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) who: Who,
    /// `service:Operation`.
    pub(super) action: &'static str,
    pub(super) input: Value,
    pub(super) expected: Expected,
    /// WorkSpaces that the answer must show, each with its state.
    pub(super) sees: Vec<(String, &'static str)>,
}

/// Whose key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// In the group `deployers`.
    Me,
    /// In the group `admins`.
    Admin,
    /// With a key of AWS's, which the guard didn't issue.
    Stranger,
}

/// What must become of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Permitted by this policy, sent, and done.
    Done(&'static str),
    /// Permitted by this policy, sent, and refused by AWS itself.
    RefusedByAws(&'static str),
    /// Forbidden by exactly these policies, and not sent.
    Forbidden(&'static [&'static str]),
    /// Permitted by no policy, and not sent.
    NotPermitted,
    /// Signed by nobody whom the guard knows, and not sent.
    Unauthenticated,
}

/// Everything that is shown, in order: later calls build on what earlier ones did.
pub(super) fn scenes() -> Vec<Scene> {
    let scene = |title, steps| Scene { title, steps };
    vec![
        scene("me, in deployers: what may be done is done", allowed()),
        scene("me: what a policy forbids", forbidden()),
        scene(
            "me: kinds of calls that only admins have, and a key that isn't known",
            closed(),
        ),
        scene("me: one item spoils the batch", spoilt()),
        scene("admin, in admins: more, not everything", admin()),
    ]
}

fn allowed() -> Vec<Step> {
    let done = Expected::Done("base");
    vec![
        me("sts:GetCallerIdentity", json!({}), done),
        me("workspaces:TerminateWorkspaces", plain(1..=2), done),
        me(
            "workspaces-instances:DeleteWorkspaceInstance",
            instance(&seed::hourly_instance(2)),
            done,
        ),
        me(
            "workspaces-instances:CreateWorkspaceInstance",
            new_instance("HOURLY"),
            done,
        ),
        me(
            "servicecatalog:TerminateProvisionedProduct",
            json!({"ProvisionedProductName": "plain-desk-1", "TerminateToken": "demo-1"}),
            done,
        ),
        me("mgn:TerminateTargetInstances", servers(1..=2), done),
        me(
            "evs:DeleteEntitlement",
            entitlements(seed::ENVIRONMENT_PLAIN, seed::CONNECTOR_PLAIN, 2),
            done,
        ),
    ]
}

fn forbidden() -> Vec<Step> {
    vec![
        me(
            "workspaces:TerminateWorkspaces",
            workspaces(&[seed::WORKSPACE_PROTECTED]),
            Expected::Forbidden(&["protected-tag"]),
        ),
        me(
            "servicecatalog:TerminateProvisionedProduct",
            json!({"ProvisionedProductName": seed::PRODUCT_LISTED_NAME, "TerminateToken": "demo-2"}),
            Expected::Forbidden(&["protected-id"]),
        ),
        me(
            "evs:DeleteEntitlement",
            entitlements(seed::ENVIRONMENT_PRODUCTION, seed::CONNECTOR_PRODUCTION, 1),
            Expected::Forbidden(&["production"]),
        ),
        me(
            "workspaces:TerminateWorkspaces",
            workspaces(&[seed::WORKSPACE_ALWAYS_ON]),
            Expected::Forbidden(&["running-mode"]),
        ),
        me(
            "workspaces-instances:DeleteWorkspaceInstance",
            instance(seed::INSTANCE_MONTHLY),
            Expected::Forbidden(&["monthly-billing"]),
        ),
        me(
            "workspaces-instances:CreateWorkspaceInstance",
            new_instance("MONTHLY"),
            Expected::Forbidden(&["monthly-create"]),
        ),
        me(
            "workspaces:TerminateWorkspaces",
            plain(3..=13),
            Expected::Forbidden(&["max-batch-workspaces"]),
        ),
        me(
            "mgn:TerminateTargetInstances",
            servers(3..=23),
            Expected::Forbidden(&["max-batch-mgn"]),
        ),
        me(
            "evs:DeleteEntitlement",
            entitlements(seed::ENVIRONMENT_PLAIN, seed::CONNECTOR_SECOND, 11),
            Expected::Forbidden(&["max-batch-evs"]),
        ),
        me(
            "evs:DeleteEntitlement",
            entitlements(seed::ENVIRONMENT_PLAIN, seed::CONNECTOR_SECOND, 26),
            Expected::Forbidden(&["max-batch", "max-batch-evs"]),
        ),
        me(
            "mgn:TerminateTargetInstances",
            json!({"sourceServerIDs": [seed::plain_server(3)], "tags": {"wave": "one"}}),
            Expected::Forbidden(&["no-selectors"]),
        ),
        me(
            "workspaces:DeleteTags",
            json!({"ResourceId": seed::WORKSPACE_PROTECTED, "TagKeys": ["protected"]}),
            Expected::Forbidden(&["guarded-tags"]),
        ),
    ]
}

fn closed() -> Vec<Step> {
    vec![
        me(
            "servicecatalog:UpdateProvisionedProduct",
            json!({"ProvisionedProductId": seed::plain_product(2), "UpdateToken": "demo-3"}),
            Expected::NotPermitted,
        ),
        me(
            "workspaces:ModifySelfservicePermissions",
            json!({"ResourceId": seed::DIRECTORY, "SelfservicePermissions": {"RebuildWorkspace": "ENABLED"}}),
            Expected::NotPermitted,
        ),
        me("sts:GetSessionToken", json!({}), Expected::NotPermitted),
        Step {
            who: Who::Stranger,
            ..me(
                "workspaces:TerminateWorkspaces",
                plain(3..=3),
                Expected::Unauthenticated,
            )
        },
    ]
}

fn spoilt() -> Vec<Step> {
    let batch = [
        seed::plain_workspace(3),
        seed::plain_workspace(4),
        seed::WORKSPACE_PROTECTED.to_owned(),
    ];
    let all: Vec<&str> = batch.iter().map(String::as_str).collect();
    vec![
        me(
            "workspaces:TerminateWorkspaces",
            workspaces(&all),
            Expected::Forbidden(&["protected-tag"]),
        ),
        looking(&all, "STOPPED"),
        me(
            "workspaces:TerminateWorkspaces",
            plain(3..=4),
            Expected::Done("base"),
        ),
        looking(all.get(..2).unwrap_or_default(), "TERMINATING"),
    ]
}

fn admin() -> Vec<Step> {
    let admin = |action, input, expected| Step {
        who: Who::Admin,
        ..me(action, input, expected)
    };
    vec![
        admin(
            "mgn:TerminateTargetInstances",
            json!({"sourceServerIDs": [seed::SERVER_PRODUCTION]}),
            Expected::Done("base"),
        ),
        admin(
            "workspaces-instances:CreateWorkspaceInstance",
            new_instance("MONTHLY"),
            Expected::Done("base"),
        ),
        admin(
            "workspaces:TerminateWorkspaces",
            workspaces(&[seed::WORKSPACE_LISTED]),
            Expected::Forbidden(&["protected-id"]),
        ),
        admin(
            "sts:GetSessionToken",
            json!({}),
            Expected::RefusedByAws("admins-only"),
        ),
        admin(
            "workspaces:DeleteTags",
            json!({"ResourceId": seed::WORKSPACE_PROTECTED, "TagKeys": ["protected"]}),
            Expected::Done("base"),
        ),
        admin(
            "workspaces:TerminateWorkspaces",
            workspaces(&[seed::WORKSPACE_PROTECTED]),
            Expected::Done("base"),
        ),
    ]
}

fn me(action: &'static str, input: Value, expected: Expected) -> Step {
    Step {
        who: Who::Me,
        action,
        input,
        expected,
        sees: Vec::new(),
    }
}

fn looking(ids: &[&str], state: &'static str) -> Step {
    let input = json!({"WorkspaceIds": ids});
    Step {
        sees: ids.iter().map(|id| ((*id).to_owned(), state)).collect(),
        ..me(
            "workspaces:DescribeWorkspaces",
            input,
            Expected::Done("base"),
        )
    }
}

fn plain(numbers: std::ops::RangeInclusive<usize>) -> Value {
    let ids: Vec<String> = numbers.map(seed::plain_workspace).collect();
    workspaces(&ids.iter().map(String::as_str).collect::<Vec<_>>())
}

fn workspaces(ids: &[&str]) -> Value {
    let ids: Vec<Value> = ids.iter().map(|id| json!({"WorkspaceId": id})).collect();
    json!({"TerminateWorkspaceRequests": ids})
}

fn instance(id: &str) -> Value {
    json!({"WorkspaceInstanceId": id})
}

fn new_instance(billing_mode: &str) -> Value {
    json!({
        "ManagedInstance": {"ImageId": "ami-0123456789abcdef0"},
        "BillingConfiguration": {"BillingMode": billing_mode},
    })
}

fn servers(numbers: std::ops::RangeInclusive<usize>) -> Value {
    let ids: Vec<String> = numbers.map(seed::plain_server).collect();
    json!({"sourceServerIDs": ids})
}

/// The first `count` machines of a connector.
fn entitlements(environment: &str, connector: &str, count: usize) -> Value {
    let machines = seed::VIRTUAL_MACHINES.take(count);
    let machines: Vec<String> = machines.map(|n| format!("vm-{n}")).collect();
    json!({
        "environmentId": environment,
        "connectorId": connector,
        "entitlementType": "WINDOWS_SERVER",
        "vmIds": machines,
    })
}
