//! What calls do to environments and entitlements.

use serde_json::json;

use super::super::Service;
use super::super::seed::*;
use super::{Bench, column};

fn machines(bench: &mut Bench, connector: &str) -> usize {
    let ask = json!({"environmentId": ENVIRONMENT_PLAIN, "connectorId": connector,
        "entitlementType": "WINDOWS_SERVER", "maxResults": 15});
    let tokens = ("nextToken", "nextToken");
    bench
        .all("ListVmEntitlements", ask, "entitlements", tokens)
        .0
        .len()
}

#[test]
fn entitlements_are_deleted_all_or_none_within_their_connector() {
    let mut bench = Bench::new(Service::Evs);
    let ask = |environment: &str, connector: &str, vms: &[&str]| {
        json!({"environmentId": environment, "connectorId": connector,
            "entitlementType": "WINDOWS_SERVER", "vmIds": vms})
    };
    let good = ask(ENVIRONMENT_PLAIN, CONNECTOR_PLAIN, &["vm-1001", "vm-1002"]);
    let answer = bench.ok("DeleteEntitlement", good.clone());
    assert_eq!(
        column(&answer["entitlements"], "status"),
        ["DELETED", "DELETED"]
    );
    assert_eq!(machines(&mut bench, CONNECTOR_PLAIN), 38);
    assert_eq!(machines(&mut bench, CONNECTOR_SECOND), 40);
    for refused in [
        good.clone(),
        ask(ENVIRONMENT_PLAIN, CONNECTOR_PLAIN, &["vm-1003", "vm-1001"]),
        ask(ENVIRONMENT_PLAIN, CONNECTOR_PRODUCTION, &["vm-1003"]),
        ask("env-nowhere001", CONNECTOR_PLAIN, &["vm-1003"]),
    ] {
        assert_eq!(
            bench.code("DeleteEntitlement", refused),
            "ResourceNotFoundException"
        );
    }
    assert_eq!(machines(&mut bench, CONNECTOR_PLAIN), 38);
    bench.ok("CreateEntitlement", good);
    assert_eq!(machines(&mut bench, CONNECTOR_PLAIN), 40);
}

#[test]
fn environments_are_shown_and_tagged_under_their_arn() {
    let mut bench = Bench::new(Service::Evs);
    let shown = bench.ok(
        "GetEnvironment",
        json!({"environmentId": ENVIRONMENT_PRODUCTION}),
    );
    let arn = shown["environment"]["environmentArn"].clone();
    let tags = bench.ok("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(tags["tags"]["environment"], "production");
    bench.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": {"a": "b"}}),
    );
    bench.ok(
        "UntagResource",
        json!({"resourceArn": arn, "tagKeys": ["environment", "owner"]}),
    );
    let tags = bench.ok("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(tags, json!({"tags": {"a": "b"}}));
    let listed = bench.ok("ListEnvironments", json!({}));
    assert_eq!(listed["environmentSummaries"].as_array().unwrap().len(), 4);
}
