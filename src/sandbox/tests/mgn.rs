//! What calls do to source servers.

use serde_json::{Value, json};

use super::super::seed::*;
use super::super::{ACCOUNT_ID, Service};
use super::{Bench, column};

fn server(bench: &mut Bench, id: &str, archived: bool) -> Option<Value> {
    let filters = json!({"sourceServerIDs": [id], "isArchived": archived});
    let answer = bench.ok("DescribeSourceServers", json!({"filters": filters}));
    answer["items"].as_array().unwrap().first().cloned()
}

#[test]
fn archived_servers_are_shown_only_when_asked_for() {
    let mut bench = Bench::new(Service::Mgn);
    let tokens = ("nextToken", "nextToken");
    let (active, pages) = bench.all(
        "DescribeSourceServers",
        json!({"maxResults": 20}),
        "items",
        tokens,
    );
    assert_eq!((active.len(), pages), (PLAIN_SERVERS + 7, 2));
    let hidden = json!({"filters": {"sourceServerIDs": [SERVER_ARCHIVED]}});
    assert_eq!(
        bench.ok("DescribeSourceServers", hidden),
        json!({"items": []})
    );
    assert_eq!(
        server(&mut bench, SERVER_ARCHIVED, true).unwrap()["tags"]["protected"],
        "true"
    );
    let foreign = json!({"accountID": "999999999999"});
    assert_eq!(
        bench.code("DescribeSourceServers", foreign),
        "AccessDeniedException"
    );
    assert!(
        bench
            .call("DescribeSourceServers", json!({"accountID": ACCOUNT_ID}))
            .is_ok()
    );
}

#[test]
fn terminated_target_instances_are_gone_and_a_job_tells_of_them() {
    let mut bench = Bench::new(Service::Mgn);
    let (one, two) = (plain_server(1), plain_server(2));
    let answer = bench.ok(
        "TerminateTargetInstances",
        json!({"sourceServerIDs": [one, two]}),
    );
    assert_eq!(
        column(&answer["job"]["participatingServers"], "sourceServerID"),
        [one.clone(), two]
    );
    assert_eq!(
        server(&mut bench, &one, false)
            .unwrap()
            .get("launchedInstance"),
        None
    );
    bench.settle();
    let filters = json!({"filters": {"jobIDs": [answer["job"]["jobID"]]}});
    assert_eq!(
        bench.ok("DescribeJobs", filters)["items"][0]["status"],
        "COMPLETED"
    );
    for (id, code) in [
        (one.as_str(), "ConflictException"),
        (SERVER_TESTING, "ConflictException"),
        (SERVER_NOT_LAUNCHED, "ConflictException"),
        ("s-nowhere0000000001", "ValidationException"),
    ] {
        let ask = json!({"sourceServerIDs": [plain_server(3), id]});
        assert_eq!(bench.code("TerminateTargetInstances", ask), code, "{id}");
    }
    let untouched = server(&mut bench, &plain_server(3), false).unwrap();
    assert!(untouched.get("launchedInstance").is_some());
}

#[test]
fn servers_are_tagged_archived_and_deleted() {
    let mut bench = Bench::new(Service::Mgn);
    let arn = format!("arn:aws:mgn:{REGION}:{ACCOUNT_ID}:source-server/{SERVER_DISCONNECTED}");
    bench.ok(
        "TagResource",
        json!({"resourceArn": arn, "tags": {"protected": "true", "a": "b"}}),
    );
    bench.ok(
        "UntagResource",
        json!({"resourceArn": arn, "tagKeys": ["a"]}),
    );
    let tags = bench.ok("ListTagsForResource", json!({"resourceArn": arn}));
    assert_eq!(tags, json!({"tags": {"protected": "true"}}));
    let elsewhere = arn.replace(REGION, "us-east-1");
    let code = bench.code("ListTagsForResource", json!({"resourceArn": elsewhere}));
    assert_eq!(code, "ResourceNotFoundException");
    let plain = json!({"sourceServerID": plain_server(1)});
    assert_eq!(
        bench.code("MarkAsArchived", plain.clone()),
        "ConflictException"
    );
    assert_eq!(bench.code("DeleteSourceServer", plain), "ConflictException");
    let cutover = bench.ok("MarkAsArchived", json!({"sourceServerID": SERVER_CUTOVER}));
    assert_eq!(cutover["isArchived"], true);
    bench.ok(
        "DeleteSourceServer",
        json!({"sourceServerID": SERVER_DISCONNECTED}),
    );
    assert_eq!(server(&mut bench, SERVER_DISCONNECTED, false), None);
}
