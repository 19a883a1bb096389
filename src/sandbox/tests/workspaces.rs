//! What calls do to WorkSpaces.

use serde_json::{Value, json};

use super::super::Service;
use super::super::seed::*;
use super::{Bench, column, ids};

fn workspace_state(bench: &mut Bench, id: &str) -> Option<String> {
    let answer = bench.ok("DescribeWorkspaces", json!({"WorkspaceIds": [id]}));
    let found = answer["Workspaces"].as_array().unwrap().first()?;
    Some(found["State"].as_str().unwrap().to_owned())
}

fn failed(answer: &Value) -> Vec<String> {
    column(&answer["FailedRequests"], "WorkspaceId")
}

#[test]
fn terminated_workspaces_are_terminating_and_then_gone() {
    let mut bench = Bench::new(Service::Workspaces);
    let id = plain_workspace(1);
    let requests = ids(
        "WorkspaceId",
        &[&id, WORKSPACE_UNKNOWN, WORKSPACE_SUSPENDED],
    );
    let answer = bench.ok(
        "TerminateWorkspaces",
        json!({"TerminateWorkspaceRequests": requests}),
    );
    assert_eq!(failed(&answer), [WORKSPACE_UNKNOWN, WORKSPACE_SUSPENDED]);
    assert_eq!(workspace_state(&mut bench, &id).unwrap(), "TERMINATING");
    bench.settle();
    assert_eq!(workspace_state(&mut bench, &id), None);
    assert_eq!(
        bench.code("DescribeTags", json!({"ResourceId": id})),
        "ResourceNotFoundException"
    );
    assert_eq!(
        workspace_state(&mut bench, WORKSPACE_SUSPENDED).unwrap(),
        "SUSPENDED"
    );
}

#[test]
fn a_call_terminates_up_to_25_workspaces() {
    let mut bench = Bench::new(Service::Workspaces);
    let many: Vec<String> = (1..=26).map(plain_workspace).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let request = |n: usize| json!({"TerminateWorkspaceRequests": ids("WorkspaceId", &many[..n])});
    assert_eq!(
        bench.code("TerminateWorkspaces", request(26)),
        "ValidationException"
    );
    assert_eq!(
        bench.code("TerminateWorkspaces", request(0)),
        "ValidationException"
    );
    assert!(failed(&bench.ok("TerminateWorkspaces", request(25))).is_empty());
}

#[test]
fn workspaces_stop_start_reboot_rebuild_and_are_restored() {
    let mut bench = Bench::new(Service::Workspaces);
    let id = WORKSPACE_AVAILABLE;
    for (operation, member, during, after) in [
        (
            "StopWorkspaces",
            "StopWorkspaceRequests",
            "STOPPING",
            "STOPPED",
        ),
        (
            "StartWorkspaces",
            "StartWorkspaceRequests",
            "STARTING",
            "AVAILABLE",
        ),
        (
            "RebootWorkspaces",
            "RebootWorkspaceRequests",
            "REBOOTING",
            "AVAILABLE",
        ),
        (
            "RebuildWorkspaces",
            "RebuildWorkspaceRequests",
            "REBUILDING",
            "AVAILABLE",
        ),
    ] {
        let answer = bench.ok(operation, json!({member: ids("WorkspaceId", &[id])}));
        assert!(failed(&answer).is_empty(), "{operation}");
        assert_eq!(workspace_state(&mut bench, id).unwrap(), during);
        bench.settle();
        assert_eq!(workspace_state(&mut bench, id).unwrap(), after);
    }
    bench.ok(
        "RestoreWorkspace",
        json!({"WorkspaceId": WORKSPACE_UNHEALTHY}),
    );
    bench.settle();
    assert_eq!(
        workspace_state(&mut bench, WORKSPACE_UNHEALTHY).unwrap(),
        "AVAILABLE"
    );
    let always_on = ids("WorkspaceId", &[WORKSPACE_ALWAYS_ON]);
    let answer = bench.ok(
        "StopWorkspaces",
        json!({"StopWorkspaceRequests": always_on}),
    );
    assert_eq!(failed(&answer), [WORKSPACE_ALWAYS_ON]);
}

#[test]
fn workspaces_are_described_page_by_page_and_by_filter() {
    let mut bench = Bench::new(Service::Workspaces);
    let (all, pages) = bench.all(
        "DescribeWorkspaces",
        json!({"Limit": 10}),
        "Workspaces",
        ("NextToken", "NextToken"),
    );
    assert_eq!((all.len(), pages), (PLAIN_WORKSPACES + 7, 5));
    let by_user = json!({"DirectoryId": DIRECTORY, "UserName": "user3"});
    let answer = bench.ok("DescribeWorkspaces", by_user);
    assert_eq!(
        column(&answer["Workspaces"], "WorkspaceId"),
        [plain_workspace(3)]
    );
    let both = json!({"WorkspaceIds": [plain_workspace(3)], "DirectoryId": DIRECTORY});
    assert_eq!(
        bench.code("DescribeWorkspaces", both),
        "InvalidParameterValuesException"
    );
    let foreign = json!({"NextToken": "nonsense"});
    assert_eq!(
        bench.code("DescribeWorkspaces", foreign),
        "InvalidParameterValuesException"
    );
    let malformed = json!({"WorkspaceIds": ["ws-UPPER0001"]});
    assert_eq!(
        bench.code("DescribeWorkspaces", malformed),
        "ValidationException"
    );
    let typed = json!({"WorkspaceIds": "ws-plain0001"});
    assert_eq!(
        bench.code("DescribeWorkspaces", typed),
        "SerializationException"
    );
}

#[test]
fn workspace_tags_come_and_go() {
    let mut bench = Bench::new(Service::Workspaces);
    let id = plain_workspace(2);
    bench.ok(
        "CreateTags",
        json!({"ResourceId": id, "Tags": [{"Key": "protected", "Value": "true"}]}),
    );
    let tags = bench.ok("DescribeTags", json!({"ResourceId": id}));
    assert_eq!(
        tags,
        json!({"TagList": [{"Key": "protected", "Value": "true"}]})
    );
    bench.ok(
        "DeleteTags",
        json!({"ResourceId": id, "TagKeys": ["protected"]}),
    );
    assert_eq!(
        bench.ok("DescribeTags", json!({"ResourceId": id})),
        json!({"TagList": []})
    );
    let unknown = json!({"ResourceId": WORKSPACE_UNKNOWN});
    assert_eq!(
        bench.code("DescribeTags", unknown),
        "ResourceNotFoundException"
    );
}

#[test]
fn workspaces_are_created_and_modified() {
    let mut bench = Bench::new(Service::Workspaces);
    let wanted = json!({"DirectoryId": DIRECTORY, "UserName": "new", "BundleId": BUNDLE,
        "Tags": [{"Key": "owner", "Value": "me"}], "WorkspaceProperties": {"RunningMode": "AUTO_STOP"}});
    let stray = json!({"DirectoryId": "d-0000000000", "UserName": "new", "BundleId": BUNDLE});
    let answer = bench.ok("CreateWorkspaces", json!({"Workspaces": [wanted, stray]}));
    assert_eq!(answer["FailedRequests"].as_array().unwrap().len(), 1);
    let id = answer["PendingRequests"][0]["WorkspaceId"]
        .as_str()
        .unwrap()
        .to_owned();
    let early = json!({"WorkspaceId": id, "WorkspaceProperties": {"RunningMode": "ALWAYS_ON"}});
    assert_eq!(
        bench.code("ModifyWorkspaceProperties", early.clone()),
        "InvalidResourceStateException"
    );
    bench.settle();
    bench.ok("ModifyWorkspaceProperties", early);
    let answer = bench.ok("DescribeWorkspaces", json!({"WorkspaceIds": [id]}));
    assert_eq!(
        answer["Workspaces"][0]["WorkspaceProperties"]["RunningMode"],
        "ALWAYS_ON"
    );
    let shrink = json!({"WorkspaceId": id, "WorkspaceProperties": {"UserVolumeSizeGib": 10}});
    assert_eq!(
        bench.code("ModifyWorkspaceProperties", shrink),
        "InvalidParameterValuesException"
    );
    let directories = bench.ok("DescribeWorkspaceDirectories", json!({}));
    assert_eq!(
        column(&directories["Directories"], "DirectoryId"),
        [DIRECTORY]
    );
    let bundles = bench.ok("DescribeWorkspaceBundles", json!({"Owner": "AMAZON"}));
    assert_eq!(column(&bundles["Bundles"], "BundleId"), [BUNDLE]);
}
