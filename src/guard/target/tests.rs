//! What a call names: nothing that it affects may go unnamed, nothing that is ambiguous may be guessed.

use std::sync::{Arc, LazyLock};

use super::*;
use crate::aws::catalog::Catalog;
use crate::aws::catalog::few::REVIEWED;
use crate::aws::class::Class;
use crate::guard::sample;

static SERVICES: LazyLock<BTreeMap<String, Arc<Service>>> = LazyLock::new(|| {
    let catalog = Catalog::embedded().unwrap();
    let service = |id: &str| (id.to_owned(), catalog.service(id).unwrap().unwrap());
    REVIEWED.into_iter().map(service).collect()
});

fn object(json: &str) -> Object {
    let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
    value.as_object().unwrap().clone()
}

fn of(action: &str, input: &str) -> Result<Targets, TargetError> {
    of_object(&Knowledge::embedded().unwrap(), action, &object(input))
}

fn of_object(knowledge: &Knowledge, action: &str, input: &Object) -> Result<Targets, TargetError> {
    let (service, operation) = action.split_once(':').unwrap();
    let service = &SERVICES[service];
    targets(service, &service.operations[operation], knowledge, input)
}

/// What is found, as entity ids: parents first.
fn ids(found: &Targets) -> Vec<String> {
    let id = |t: &Target| {
        let parents = t.parents.iter().map(|p| p.id.clone());
        let all = parents.chain([t.spelling.as_str().to_owned()]);
        all.collect::<Vec<_>>().join("/")
    };
    found.targets.iter().map(id).collect()
}

fn check(action: &str, input: &str, expected: &[&str], batch_size: usize) {
    let found = of(action, input).unwrap_or_else(|e| panic!("{action} {input}: {e}"));
    assert_eq!(ids(&found), expected, "{action} {input}");
    assert_eq!(found.batch_size, batch_size, "{action} {input}");
}

fn refused(action: &str, input: &str, expected: &str) {
    match of(action, input) {
        Ok(found) => panic!("{action} {input} names {found:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{action} {input}"),
    }
}

#[test]
fn the_five_apis_name_their_resources() {
    check(
        "workspaces:TerminateWorkspaces",
        r#"{"TerminateWorkspaceRequests":[{"WorkspaceId":"ws-1"},{"WorkspaceId":"ws-2"}]}"#,
        &["ws-1", "ws-2"],
        2,
    );
    check(
        "workspaces-instances:DeleteWorkspaceInstance",
        r#"{"WorkspaceInstanceId":"wi-1"}"#,
        &["wi-1"],
        1,
    );
    check(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-1","s-2","s-3"]}"#,
        &["s-1", "s-2", "s-3"],
        3,
    );
    check(
        "evs:DeleteEntitlement",
        r#"{"environmentId":"env-1","connectorId":"c-1","entitlementType":"X","vmIds":["vm-1","vm-2"]}"#,
        &["env-1/c-1/vm-1", "env-1/c-1/vm-2"],
        2,
    );
    check(
        "servicecatalog:TerminateProvisionedProduct",
        r#"{"ProvisionedProductId":"pp-1"}"#,
        &["pp-1"],
        1,
    );
}

#[test]
fn an_id_that_stands_twice_is_one_resource_and_counts_twice() {
    check(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-1","s-1","s-2"]}"#,
        &["s-1", "s-2"],
        3,
    );
    // Two spellings are two things: AWS may take them for one, and each is judged.
    check(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-a","s-A"]}"#,
        &["s-a", "s-A"],
        2,
    );
}

#[test]
fn exactly_one_of_id_and_name() {
    let action = "servicecatalog:TerminateProvisionedProduct";
    let by_name = of(action, r#"{"ProvisionedProductName":"desk"}"#).unwrap();
    assert_eq!(
        by_name.targets[0].spelling,
        Spelling::Name("desk".to_owned())
    );
    assert_eq!(
        by_name.named.unwrap().id.to_string(),
        "ProvisionedProductId"
    );
    refused(
        action,
        r#"{"ProvisionedProductName":"desk","ProvisionedProductId":"pp-1"}"#,
        "give either `ProvisionedProductId` or `ProvisionedProductName`, not both",
    );
    refused(
        action,
        "{}",
        "give `ProvisionedProductId` or `ProvisionedProductName`: the call names no resource",
    );
    // A name that only the catalog's rule knows of is one too.
    let product = of(
        "servicecatalog:ProvisionProduct",
        r#"{"ProductName":"vpn"}"#,
    )
    .unwrap();
    assert_eq!(
        product.targets[0].spelling,
        Spelling::Name("vpn".to_owned())
    );
    refused(
        "servicecatalog:ProvisionProduct",
        "{}",
        "give `ProductId` or `ProductName`: the call names no resource",
    );
}

#[test]
fn nothing_named_where_something_must_be_is_refused() {
    refused(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":[]}"#,
        "`sourceServerIDs[]` names no resource: the list is empty",
    );
    refused(
        "workspaces:TerminateWorkspaces",
        r#"{"TerminateWorkspaceRequests":[]}"#,
        "`TerminateWorkspaceRequests[].WorkspaceId` names no resource: the list is empty",
    );
    refused(
        "workspaces:TerminateWorkspaces",
        r#"{"TerminateWorkspaceRequests":[{"WorkspaceId":"ws-1"},{}]}"#,
        "an item of `TerminateWorkspaceRequests[].WorkspaceId` names no resource",
    );
    refused(
        "mgn:TerminateTargetInstances",
        "{}",
        "`sourceServerIDs[]` is missing: the call names no resource",
    );
    // The model doesn't require it: not naming it must not make the call one about the account.
    refused(
        "workspaces:DeleteWorkspaceBundle",
        "{}",
        "`BundleId` is missing: the call names no resource",
    );
    refused(
        "evs:DeleteEntitlement",
        r#"{"environmentId":"env-1","vmIds":["vm-1"]}"#,
        "`connectorId`, in which the resource stands, is missing",
    );
}

#[test]
fn a_call_of_an_operation_that_names_nothing_names_nothing() {
    check("servicecatalog:DisableAWSOrganizationsAccess", "{}", &[], 1);
    check("sts:GetSessionToken", "{}", &[], 1);
}

#[test]
fn what_can_not_be_seen_in_an_id_is_refused() {
    let hidden = [
        " s-1",
        "s-1 ",
        "\ts-1",
        "s-1\n",
        "s\u{0}-1",
        "s-\u{200b}1",
        "\u{feff}s-1",
        "s-1\u{202e}",
        "s\u{ad}-1",
        "s-1\u{a0}",
        "s-1\u{2066}",
    ];
    for id in hidden {
        let input: Object = [("sourceServerID".to_owned(), Value::String(id.to_owned()))]
            .into_iter()
            .collect();
        let refused = of_object(
            &Knowledge::embedded().unwrap(),
            "mgn:DeleteSourceServer",
            &input,
        )
        .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`sourceServerID` has spaces around it, or characters that can't be seen",
            "{id:?}"
        );
    }
    refused(
        "evs:DeleteEntitlement",
        r#"{"environmentId":" env-1","connectorId":"c-1","vmIds":["vm-1"]}"#,
        "`environmentId` has spaces around it, or characters that can't be seen",
    );
    refused(
        "servicecatalog:TerminateProvisionedProduct",
        r#"{"ProvisionedProductName":"desk "}"#,
        "`ProvisionedProductName` has spaces around it, or characters that can't be seen",
    );
    refused(
        "mgn:DeleteSourceServer",
        r#"{"sourceServerID":""}"#,
        "`sourceServerID` is an empty string; write the id of the resource",
    );
    refused(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-1",""]}"#,
        "`sourceServerIDs[]` is an empty string; write the id of the resource",
    );
}

#[test]
fn another_account_is_seen_wherever_the_service_takes_one() {
    let account = |action: &str, input: &str| of(action, input).unwrap().account;
    let other = Some("210987654321".to_owned());
    for action in [
        "mgn:TerminateTargetInstances",
        "mgn:StartCutover",
        "mgn:StartTest",
    ] {
        assert_eq!(
            account(
                action,
                r#"{"sourceServerIDs":["s-1"],"accountID":"210987654321"}"#
            ),
            other,
            "{action}"
        );
        assert_eq!(
            account(action, r#"{"sourceServerIDs":["s-1"]}"#),
            None,
            "{action}"
        );
    }
    assert_eq!(
        account(
            "mgn:MarkAsArchived",
            r#"{"sourceServerID":"s-1","accountID":"210987654321"}"#
        ),
        other
    );
    refused(
        "mgn:MarkAsArchived",
        r#"{"sourceServerID":"s-1","accountID":""}"#,
        "`accountID` is an empty string; write the id of the resource",
    );
    refused(
        "mgn:MarkAsArchived",
        r#"{"sourceServerID":"s-1","accountID":" 210987654321"}"#,
        "`accountID` has spaces around it, or characters that can't be seen",
    );
}

#[test]
fn a_selector_is_a_resource_beside_those_that_are_named() {
    let found = of(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-1"],"tags":{"team":"a"}}"#,
    )
    .unwrap();
    assert!(found.selector);
    assert_eq!(ids(&found), ["s-1", "tags"]);
    assert_eq!(found.targets[1].kind, SELECTOR);
    // What selects isn't set.
    assert!(found.tag_keys.is_empty() && found.request_tags.is_empty());
    let without = of(
        "mgn:TerminateTargetInstances",
        r#"{"sourceServerIDs":["s-1"],"tags":{}}"#,
    )
    .unwrap();
    assert!(!without.selector);
}

/// The second product must be judged, though its service action is the first's.
#[test]
fn an_item_of_a_list_has_its_own_parents() {
    let action = "servicecatalog:BatchDisassociateServiceActionFromProvisioningArtifact";
    let item = |product: &str, act: &str| {
        format!(
            r#"{{"ServiceActionId":"{act}","ProductId":"{product}","ProvisioningArtifactId":"pa-1"}}"#
        )
    };
    let list =
        |items: &[String]| format!(r#"{{"ServiceActionAssociations":[{}]}}"#, items.join(","));
    check(
        action,
        &list(&[
            item("prod-1", "act-1"),
            item("prod-2", "act-1"),
            item("prod-2", "act-1"),
        ]),
        &["prod-1/pa-1/act-1", "prod-2/pa-1/act-1"],
        3,
    );
    refused(
        action,
        &list(&[
            item("prod-1", "act-1"),
            r#"{"ServiceActionId":"act-2","ProvisioningArtifactId":"pa-1"}"#.to_owned(),
        ]),
        "`ServiceActionAssociations[].ProductId`, in which the resource stands, is missing",
    );
}

/// A service file that says where the resources of an operation stand.
fn placed(action: &str, place: &str) -> Knowledge {
    let (service, operation) = action.split_once(':').unwrap();
    let text = format!("service = \"{service}\"\n[operations.{operation}.resources]\n{place}\n");
    Knowledge::default()
        .overlay(&[("x.toml".to_owned(), text)])
        .unwrap()
}

#[test]
fn lists_inside_lists_count_each_thing_and_keep_to_their_own_parents() {
    let action = "workspaces:TerminateWorkspaces";
    let knowledge = placed(
        action,
        "ids = \"Groups[].Ids[]\"\ntype = \"x:Y\"\nparents = [{ id = \"Groups[].Of\", type = \"x:Z\" }, { id = \"All\", type = \"x:A\" }]",
    );
    let found = |input: &str| of_object(&knowledge, action, &object(input));
    let two = found(
        r#"{"All":"a","Groups":[{"Of":"g","Ids":["1","2"]},{"Of":"h","Ids":["2","3","3"]}]}"#,
    )
    .unwrap();
    assert_eq!(ids(&two), ["g/a/1", "g/a/2", "h/a/2", "h/a/3"]);
    assert_eq!(two.batch_size, 5);
    let empty = found(r#"{"All":"a","Groups":[{"Of":"g","Ids":["1","2"]},{"Of":"h","Ids":[]}]}"#);
    assert!(matches!(empty, Err(TargetError::ItemWithout { .. })));
    let deep = placed(
        action,
        "ids = \"Groups[].Id\"\ntype = \"x:Y\"\nparents = [{ id = \"Groups[].Of[]\", type = \"x:Z\" }]",
    );
    let many = of_object(
        &deep,
        action,
        &object(r#"{"Groups":[{"Id":"1","Of":["a","b"]}]}"#),
    );
    assert!(matches!(many, Err(TargetError::ParentList { .. })));
    let apart = placed(
        action,
        "ids = \"Groups[].Id\"\ntype = \"x:Y\"\nparents = [{ id = \"Others[].Id\", type = \"x:Z\" }]",
    );
    let other = of_object(
        &apart,
        action,
        &object(r#"{"Groups":[{"Id":"1"}],"Others":[{"Id":"2"}]}"#),
    );
    assert!(matches!(other, Err(TargetError::ParentList { .. })));
}

#[test]
fn where_only_the_parent_is_named_the_parent_is_judged() {
    let action = "evs:DeleteEnvironmentHost";
    let knowledge = placed(
        action,
        "ids = \"hostName\"\ntype = \"x:Host\"\nparents = [{ id = \"environmentId\", type = \"x:Env\" }]",
    );
    let found = of_object(&knowledge, action, &object(r#"{"environmentId":"env-1"}"#)).unwrap();
    assert_eq!(ids(&found), ["env-1"]);
    assert_eq!(found.targets[0].kind, "x:Env");
}

#[test]
fn what_is_no_text_is_no_id() {
    let action = "workspaces:TerminateWorkspaces";
    let knowledge = placed(action, "ids = \"Ids[].Id\"\ntype = \"x:Y\"");
    for bad in [
        r#"{"Ids":["1"]}"#,
        r#"{"Ids":[{"Id":true}]}"#,
        r#"{"Ids":[{"Id":{}}]}"#,
        r#"{"Ids":[["1"]]}"#,
    ] {
        let refused = of_object(&knowledge, action, &object(bad)).unwrap_err();
        assert_eq!(refused.to_string(), "`Ids[].Id` is not a string", "{bad}");
    }
}

#[test]
fn tag_keys_are_those_that_are_set_or_removed() {
    let keys = |action: &str, input: &str| {
        let found = of(action, input).unwrap();
        found.tag_keys.into_iter().collect::<Vec<_>>()
    };
    for (action, input, expected) in [
        (
            "workspaces:CreateTags",
            r#"{"ResourceId":"ws-1","Tags":[{"Key":"a","Value":"b"},{"Key":"c"}]}"#,
            &["a", "c"][..],
        ),
        (
            "workspaces:DeleteTags",
            r#"{"ResourceId":"ws-1","TagKeys":["a","c"]}"#,
            &["a", "c"],
        ),
        (
            "mgn:TagResource",
            r#"{"resourceArn":"arn:aws:mgn:::x/1","tags":{"a":"b","c":""}}"#,
            &["a", "c"],
        ),
        (
            "mgn:UntagResource",
            r#"{"resourceArn":"arn:aws:mgn:::x/1","tagKeys":["a"]}"#,
            &["a"],
        ),
        (
            "evs:TagResource",
            r#"{"resourceArn":"arn:aws:evs:::x/1","tags":{"a":"b"}}"#,
            &["a"],
        ),
        (
            "workspaces-instances:TagResource",
            r#"{"WorkspaceInstanceId":"wi-1","Tags":[{"Key":"a","Value":"b"}]}"#,
            &["a"],
        ),
        (
            "workspaces-instances:UntagResource",
            r#"{"WorkspaceInstanceId":"wi-1","TagKeys":["a"]}"#,
            &["a"],
        ),
        (
            "servicecatalog:UpdatePortfolio",
            r#"{"Id":"port-1","AddTags":[{"Key":"a","Value":"b"}],"RemoveTags":["c"]}"#,
            &["a", "c"],
        ),
        (
            "servicecatalog:UpdatePortfolio",
            r#"{"Id":"port-1","Description":"x"}"#,
            &[],
        ),
    ] {
        assert_eq!(keys(action, input), expected, "{action}");
    }
}

#[test]
fn a_tag_key_with_spaces_around_it_is_also_the_key_without() {
    let found = of(
        "workspaces:DeleteTags",
        r#"{"ResourceId":"ws-1","TagKeys":[" protected "]}"#,
    )
    .unwrap();
    assert!(found.tag_keys.contains("protected") && found.tag_keys.contains(" protected "));
}

#[test]
fn a_tag_that_is_set_twice_is_refused() {
    refused(
        "workspaces:CreateTags",
        r#"{"ResourceId":"ws-1","Tags":[{"Key":"a","Value":"b"},{"Key":"a","Value":"c"}]}"#,
        "the tag key `a` is set twice",
    );
}

/// Every operation of class `tag` shows all the keys of an input that has every member.
#[test]
fn every_tag_operation_of_the_catalog_shows_its_keys() {
    let knowledge = Knowledge::embedded().unwrap();
    for service in SERVICES.values() {
        for operation in service
            .operations
            .values()
            .filter(|o| o.class == Class::Tag)
        {
            let mut input = sample::full(service, operation);
            // The sample's tags all have one key; a list of them is one that is set twice.
            for name in ["Tags", "AddTags"] {
                if let Some(Value::List(items)) = input.get(name) {
                    let first = items.iter().take(1).cloned().collect();
                    input.set(name, Value::List(first));
                }
            }
            let found = targets(service, operation, &knowledge, &input);
            let found = found.unwrap_or_else(|e| panic!("{}:{}: {e}", service.id, operation.name));
            assert!(
                !found.tag_keys.is_empty(),
                "{}:{}",
                service.id,
                operation.name
            );
        }
    }
}

/// Every guarded operation names something in a full input, and what it names stands in that input.
#[test]
fn every_guarded_operation_of_the_catalog_names_what_its_input_says() {
    let knowledge = Knowledge::embedded().unwrap();
    for service in SERVICES.values() {
        for operation in service.operations.values().filter(|o| o.class.is_guarded()) {
            let name = format!("{}:{}", service.id, operation.name);
            let mut input = sample::full(service, operation);
            let rule = knowledge.operation(&service.id, &operation.name);
            let by_name = rule
                .and_then(|r| r.resources.as_ref())
                .and_then(|p| p.name.clone());
            let or = operation
                .resource
                .as_ref()
                .and_then(|r| r.or.first().cloned());
            if let Some(other) = by_name.map(|p| p.to_string()).or(or) {
                input.remove(&other);
            }
            for list in ["Tags", "AddTags"] {
                input.remove(list);
            }
            let found = targets(service, operation, &knowledge, &input);
            let found = found.unwrap_or_else(|e| panic!("{name}: {e}"));
            let placed =
                operation.resource.is_some() || rule.is_some_and(|r| r.resources.is_some());
            assert_eq!(found.targets.is_empty(), !placed, "{name}");
            let whole = input.to_json().to_string();
            for target in found.targets.iter().filter(|t| t.kind != SELECTOR) {
                assert!(
                    whole.contains(&format!("\"{}\"", target.spelling.as_str())),
                    "{name}: {target:?}"
                );
            }
        }
    }
}
