//! What calls do to the account.

use serde_json::{Value, json};

use super::super::seed::*;
use super::super::{ACCOUNT_ID, Account, Service};
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

#[test]
fn an_instance_shows_its_billing_and_is_deallocated() {
    let mut bench = Bench::new(Service::WorkspacesInstances);
    let of = |id: &str| json!({"WorkspaceInstanceId": id});
    let monthly = bench.ok("GetWorkspaceInstance", of(INSTANCE_MONTHLY));
    assert_eq!(monthly["BillingConfiguration"]["BillingMode"], "MONTHLY");
    let legacy = bench.ok("GetWorkspaceInstance", of(INSTANCE_WITHOUT_BILLING));
    assert_eq!(legacy.get("BillingConfiguration"), None);
    let id = hourly_instance(1);
    bench.ok("DeleteWorkspaceInstance", of(&id));
    assert_eq!(
        bench.ok("GetWorkspaceInstance", of(&id))["ProvisionState"],
        "DEALLOCATING"
    );
    assert_eq!(
        bench.code("DeleteWorkspaceInstance", of(&id)),
        "ConflictException"
    );
    bench.settle();
    assert_eq!(
        bench.ok("GetWorkspaceInstance", of(&id))["ProvisionState"],
        "DEALLOCATED"
    );
    let unknown = of("wsinst-nowhere01");
    assert_eq!(
        bench.code("DeleteWorkspaceInstance", unknown),
        "ResourceNotFoundException"
    );
}

#[test]
fn instances_are_created_with_their_billing_and_once_a_token() {
    let mut bench = Bench::new(Service::WorkspacesInstances);
    let asked = json!({"ClientToken": "t1", "ManagedInstance": {"InstanceType": "t3.large"},
        "BillingConfiguration": {"BillingMode": "MONTHLY"}, "Tags": [{"Key": "a", "Value": "b"}]});
    let first = bench.ok("CreateWorkspaceInstance", asked.clone());
    assert_eq!(bench.ok("CreateWorkspaceInstance", asked), first);
    let shown = bench.ok("GetWorkspaceInstance", first.clone());
    assert_eq!(shown["BillingConfiguration"]["BillingMode"], "MONTHLY");
    assert_eq!(
        bench.ok("ListTagsForResource", first)["Tags"],
        json!([{"Key": "a", "Value": "b"}])
    );
    let unbilled = bench.ok("CreateWorkspaceInstance", json!({"ManagedInstance": {}}));
    let shown = bench.ok("GetWorkspaceInstance", unbilled);
    assert_eq!(shown["BillingConfiguration"]["BillingMode"], "HOURLY");
    let odd = json!({"ManagedInstance": {}, "BillingConfiguration": {"BillingMode": "YEARLY"}});
    assert_eq!(
        bench.code("CreateWorkspaceInstance", odd),
        "ValidationException"
    );
}

#[test]
fn instances_are_tagged_and_listed() {
    let mut bench = Bench::new(Service::WorkspacesInstances);
    let id = hourly_instance(2);
    let tag = json!({"WorkspaceInstanceId": id, "Tags": [{"Key": "protected", "Value": "true"}]});
    bench.ok("TagResource", tag);
    bench.ok(
        "UntagResource",
        json!({"WorkspaceInstanceId": id, "TagKeys": ["nothing"]}),
    );
    let tags = bench.ok("ListTagsForResource", json!({"WorkspaceInstanceId": id}));
    assert_eq!(tags["Tags"].as_array().unwrap().len(), 1);
    let (all, pages) = bench.all(
        "ListWorkspaceInstances",
        json!({"MaxResults": 4}),
        "WorkspaceInstances",
        ("NextToken", "NextToken"),
    );
    assert_eq!((all.len(), pages), (HOURLY_INSTANCES + 5, 4));
    let regions = bench.ok("ListRegions", json!({}));
    assert!(column(&regions["Regions"], "RegionName").contains(&REGION.to_owned()));
}

#[test]
fn instance_types_follow_the_billing_filter() {
    let mut bench = Bench::new(Service::WorkspacesInstances);
    let filter = |mode: &str| {
        json!({"InstanceConfigurationFilter":
        {"BillingMode": mode, "PlatformType": "Windows", "Tenancy": "SHARED"}})
    };
    let hourly = bench.ok("ListInstanceTypes", filter("HOURLY"));
    let monthly = bench.ok("ListInstanceTypes", filter("MONTHLY"));
    assert!(column(&hourly["InstanceTypes"], "InstanceType").contains(&"g4dn.xlarge".to_owned()));
    assert!(!column(&monthly["InstanceTypes"], "InstanceType").contains(&"g4dn.xlarge".to_owned()));
    let modes = &monthly["InstanceTypes"][0]["SupportedInstanceConfigurations"];
    assert_eq!(column(modes, "BillingMode"), ["MONTHLY"]);
}

#[test]
fn volumes_are_attached_detached_and_deleted() {
    let mut bench = Bench::new(Service::WorkspacesInstances);
    let id = hourly_instance(1);
    let volume = |id: &str| json!({"VolumeId": id});
    assert_eq!(
        bench.code("DeleteVolume", volume(VOLUME_ATTACHED)),
        "ConflictException"
    );
    let elsewhere = json!({"WorkspaceInstanceId": hourly_instance(2), "VolumeId": VOLUME_ATTACHED});
    assert_eq!(
        bench.code("DisassociateVolume", elsewhere),
        "ConflictException"
    );
    bench.ok(
        "DisassociateVolume",
        json!({"WorkspaceInstanceId": id, "VolumeId": VOLUME_ATTACHED}),
    );
    bench.ok("DeleteVolume", volume(VOLUME_ATTACHED));
    assert_eq!(
        bench.code("DeleteVolume", volume(VOLUME_ATTACHED)),
        "ResourceNotFoundException"
    );
    let made = bench.ok(
        "CreateVolume",
        json!({"AvailabilityZone": "eu-central-1a", "SizeInGB": 8}),
    );
    let attach =
        json!({"WorkspaceInstanceId": id, "VolumeId": made["VolumeId"], "Device": "/dev/sdg"});
    bench.ok("AssociateVolume", attach.clone());
    assert_eq!(bench.code("AssociateVolume", attach), "ConflictException");
}

#[test]
fn a_product_is_found_by_exact_id_or_name() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let by_name = bench.ok(
        "DescribeProvisionedProduct",
        json!({"Name": PRODUCT_LISTED_NAME}),
    );
    assert_eq!(by_name["ProvisionedProductDetail"]["Id"], PRODUCT_LISTED);
    let by_id = bench.ok("DescribeProvisionedProduct", json!({"Id": PRODUCT_PREFIX}));
    assert_eq!(
        by_id["ProvisionedProductDetail"]["Name"],
        PRODUCT_PREFIX_NAME
    );
    let neither = "InvalidParametersException";
    assert_eq!(bench.code("DescribeProvisionedProduct", json!({})), neither);
    let both = json!({"Id": PRODUCT_PREFIX, "Name": PRODUCT_PREFIX_NAME});
    assert_eq!(bench.code("DescribeProvisionedProduct", both), neither);
    let part = json!({"Name": "team"});
    assert_eq!(
        bench.code("DescribeProvisionedProduct", part),
        "ResourceNotFoundException"
    );
}

#[test]
fn a_search_is_fuzzy_scoped_and_paged() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let account = json!({"Key": "Account", "Value": "self"});
    let query = json!({"Filters": {"SearchQuery": [format!("id:{PRODUCT_PREFIX}")]}, "AccessLevelFilter": account});
    let found = bench.ok("SearchProvisionedProducts", query);
    assert_eq!(
        column(&found["ProvisionedProducts"], "Id"),
        [PRODUCT_PREFIX, PRODUCT_TWIN]
    );
    assert_eq!(found["TotalResultsCount"], 2);
    let own = bench.ok("SearchProvisionedProducts", json!({}));
    assert_eq!(column(&own["ProvisionedProducts"], "Id"), [PRODUCT_PREFIX]);
    let tokens = ("PageToken", "NextPageToken");
    let all = json!({"AccessLevelFilter": account, "PageSize": 10});
    let (all, pages) = bench.all(
        "SearchProvisionedProducts",
        all,
        "ProvisionedProducts",
        tokens,
    );
    assert_eq!((all.len(), pages), (PLAIN_PRODUCTS + 5, 3));
    let down = json!({"AccessLevelFilter": account, "SortBy": "name", "SortOrder": "DESCENDING", "PageSize": 7});
    let (down, _) = bench.all(
        "SearchProvisionedProducts",
        down,
        "ProvisionedProducts",
        tokens,
    );
    let names = column(&json!(down), "Name");
    assert!(names.is_sorted_by(|a, b| a >= b), "{names:?}");
    assert_eq!(names.len(), PLAIN_PRODUCTS + 5);
    let (scanned, _) = bench.all(
        "ScanProvisionedProducts",
        json!({"AccessLevelFilter": account}),
        "ProvisionedProducts",
        tokens,
    );
    assert_eq!(scanned.len(), PLAIN_PRODUCTS + 5);
    assert_eq!(scanned[0].get("Tags"), None);
    let odd = json!({"Filters": {"SearchQuery": ["colour:red"]}});
    assert_eq!(
        bench.code("SearchProvisionedProducts", odd),
        "InvalidParametersException"
    );
}

#[test]
fn a_terminated_product_changes_and_is_gone_and_its_record_stays() {
    let mut bench = Bench::new(Service::ServiceCatalog);
    let ask = json!({"ProvisionedProductName": PRODUCT_PREFIX_NAME, "TerminateToken": "one"});
    let record = bench.ok("TerminateProvisionedProduct", ask.clone())["RecordDetail"].clone();
    assert_eq!(record["ProvisionedProductId"], PRODUCT_PREFIX);
    assert_eq!(
        bench.ok("TerminateProvisionedProduct", ask)["RecordDetail"],
        record
    );
    let shown = bench.ok("DescribeProvisionedProduct", json!({"Id": PRODUCT_PREFIX}));
    assert_eq!(shown["ProvisionedProductDetail"]["Status"], "UNDER_CHANGE");
    bench.settle();
    let again = json!({"ProvisionedProductId": PRODUCT_PREFIX, "TerminateToken": "two"});
    assert_eq!(
        bench.code("TerminateProvisionedProduct", again),
        "ResourceNotFoundException"
    );
    let record = bench.ok("DescribeRecord", json!({"Id": record["RecordId"]}));
    assert_eq!(record["RecordDetail"]["Status"], "SUCCEEDED");
    assert_eq!(
        bench.ok("ListPortfolios", json!({}))["PortfolioDetails"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

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
}
