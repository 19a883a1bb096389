//! What calls do to WorkSpaces instances and volumes.

use serde_json::json;

use super::super::Service;
use super::super::seed::*;
use super::{Bench, column};

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
