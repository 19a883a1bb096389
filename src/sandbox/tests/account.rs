//! What holds for the account as a whole.

use serde_json::json;

use super::super::seed::*;
use super::super::{ACCOUNT_ID, Account, Service};
use super::Bench;

#[test]
fn every_region_has_a_state_of_its_own() {
    let mut account = Account::demo();
    let now = Bench::new(Service::Evs).now;
    let ask = json!({"TerminateWorkspaceRequests": [{"WorkspaceId": plain_workspace(1)}]});
    let service = Service::Workspaces;
    account
        .call(
            service,
            REGION,
            "TerminateWorkspaces",
            ask.as_object().unwrap(),
            now,
        )
        .unwrap();
    let look = json!({"WorkspaceIds": [plain_workspace(1)]});
    let mut state = |region: &str| {
        let answer = account.call(
            service,
            region,
            "DescribeWorkspaces",
            look.as_object().unwrap(),
            now,
        );
        answer.unwrap()["Workspaces"][0]["State"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(state(REGION), "TERMINATING");
    assert_eq!(state("us-east-1"), "STOPPED");
}

#[test]
fn what_is_not_played_is_an_unknown_operation() {
    for (service, code) in [
        (Service::Workspaces, "UnknownOperationException"),
        (Service::Mgn, "UnknownOperationException"),
        (Service::Sts, "InvalidAction"),
    ] {
        assert_eq!(Bench::new(service).code("MakeCoffee", json!({})), code);
    }
    let mut sts = Bench::new(Service::Sts);
    assert_eq!(
        sts.ok("GetCallerIdentity", json!({}))["Account"],
        ACCOUNT_ID
    );
    let role = json!({"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "me"});
    assert_eq!(sts.code("AssumeRole", role), "AccessDenied");
    assert_eq!(sts.code("GetSessionToken", json!({})), "AccessDenied");
}
