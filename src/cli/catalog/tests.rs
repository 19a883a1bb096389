use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use std::sync::Arc;

use super::*;
use crate::aws::catalog::few::few;
use crate::aws::catalog::model::Location;
use crate::aws::catalog::{Protocol, Service};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::protocol;

static EMBEDDED: std::sync::LazyLock<Catalog> =
    std::sync::LazyLock::new(|| Catalog::embedded().unwrap());

/// A package with one small service, as botocore lays it out.
fn package(operations: &Value) -> tempfile::TempDir {
    release("9.8.7", "rest-json", "things", operations)
}

/// The same of a release, whose service has that protocol and that name.
fn release(version: &str, protocol: &str, id: &str, operations: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &str| {
        let path = folder.path().join("botocore").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    };
    let init = format!("import os\n\n__version__ = '{version}'\n");
    write("__init__.py", &init);
    let outputs = json!({
        "dnsSuffix": "amazonaws.com", "dualStackDnsSuffix": "api.aws", "implicitGlobalRegion": "us-east-1",
    });
    let partitions = json!({"partitions": [{
        "id": "aws", "regionRegex": "^us\\-\\w+\\-\\d+$", "outputs": outputs, "regions": {"us-east-1": {}},
    }]});
    write("data/partitions.json", &partitions.to_string());
    write("data/endpoints.json", r#"{"partitions": []}"#);
    let model = |operations: &Value| {
        json!({
            "metadata": {
                "apiVersion": "2020-01-01", "endpointPrefix": id, "protocol": protocol, "targetPrefix": "Things_1",
                "signatureVersion": "v4", "serviceFullName": "Things",
            },
            "operations": operations,
            "shapes": {
                "Id": {"type": "string"},
                "Named": {"type": "structure", "required": ["thingId"], "members": {
                    "thingId": {"shape": "Id", "location": "uri", "locationName": "id"},
                    "parts": {"shape": "Parts"},
                }},
                "Parts": {"type": "list", "member": {"shape": "Part"}},
                "Part": {"type": "structure", "members": {"inner": {"shape": "Parts"}}},
            },
        })
        .to_string()
    };
    let model_of = |version: &str| format!("data/{id}/{version}/service-2.json");
    write(&model_of("2019-01-01"), &model(&json!({})));
    write(&model_of("2020-01-01"), &model(operations));
    let rules = json!({"parameters": {}, "rules": [{
        "type": "tree", "rules": [{
            "type": "endpoint", "conditions": [],
            "endpoint": {"url": format!("https://{id}.{{Region}}.{{P#dnsSuffix}}")},
        }],
        "conditions": [{"fn": "aws.partition", "argv": [{"ref": "Region"}], "assign": "P"}],
    }]});
    let rules_of = format!("data/{id}/2020-01-01/endpoint-rule-set-1.json");
    write(&rules_of, &rules.to_string());
    folder
}

fn delete_thing(name: &str) -> Value {
    json!({name: {
        "name": name, "http": {"method": "DELETE", "requestUri": "/things/{id}"}, "input": {"shape": "Named"},
    }})
}

fn args(botocore: &Path, out: Option<PathBuf>) -> BuildArgs {
    BuildArgs {
        botocore: botocore.to_owned(),
        cfn: None,
        services: vec!["things".to_owned()],
        older: Vec::new(),
        out,
        details: false,
        json: true,
    }
}

fn show_args(what: &str) -> ShowArgs {
    ShowArgs {
        what: Some(what.to_owned()).filter(|what| !what.is_empty()),
        json: false,
        classes: false,
    }
}

fn shown(what: &str, catalog: &Catalog) -> anyhow::Result<String> {
    show(&show_args(what), catalog, &Knowledge::embedded().unwrap())
}

/// Each part is shown, however wide the columns are.
fn check_show(what: &str, expected: &[&str]) {
    let shown = shown(what, &EMBEDDED).unwrap();
    let narrow = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{:indent$}{}", "", words.join(" "))
    };
    let shown = shown.lines().map(narrow).collect::<Vec<_>>().join("\n");
    for part in expected {
        assert!(shown.contains(part), "`{part}` in:\n{shown}");
    }
}

fn check_unknown(what: &str, expected: &str) {
    let error = shown(what, &EMBEDDED).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn a_package_folder_becomes_a_catalog_of_its_newest_models() {
    let folder = package(&delete_thing("DeleteThing"));
    let out = folder.path().join("catalog.bin");
    let report = build(&args(folder.path(), Some(out.clone()))).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["version"], "botocore-9.8.7");
    assert_eq!(report["changes"][0]["operation"], "things:DeleteThing");
    assert_eq!(report["changes"][0]["after"], "destroy");

    let catalog = Catalog::from_bytes(fs::read(&out).unwrap()).unwrap();
    let things = catalog.service("things").unwrap().unwrap();
    let operation = &things.operations["DeleteThing"];
    let rule = operation.resource.as_ref().unwrap();
    assert_eq!(
        (rule.ids.as_str(), rule.kind.as_str()),
        ("thingId", "things:Thing")
    );

    let again = folder.path().join("again.bin");
    build(&args(&folder.path().join("botocore"), Some(again.clone()))).unwrap();
    assert_eq!(fs::read(out).unwrap(), fs::read(again).unwrap());
}

/// `DeleteThing` with another method, route and names of its labels and members.
fn delete_by(method: &str, uri: &str) -> Value {
    json!({"DeleteThing": {
        "name": "DeleteThing", "http": {"method": method, "requestUri": uri}, "input": {"shape": "Named"},
    }})
}

/// The service of a catalog of one release and older ones.
fn things_of(today: &tempfile::TempDir, older: &[&tempfile::TempDir]) -> (Arc<Service>, Value) {
    let out = today.path().join("catalog.bin");
    let mut args = args(today.path(), Some(out.clone()));
    args.services = vec!["all".to_owned()];
    args.older = older.iter().map(|f| f.path().to_owned()).collect();
    let report = serde_json::from_str(&build(&args).unwrap()).unwrap();
    let catalog = Catalog::from_bytes(fs::read(out).unwrap()).unwrap();
    (catalog.service("things").unwrap().unwrap(), report)
}

#[test]
fn operations_that_are_gone_are_kept_as_the_newest_release_that_has_them() {
    let today = package(&delete_thing("DeleteThing"));
    let newer = release("9.7.0", "rest-json", "things", &delete_thing("PurgeThing"));
    let oldest = release("9.6.10", "rest-json", "things", &delete_thing("PurgeThing"));
    let (things, report) = things_of(&today, &[&oldest, &newer]);
    let purge = &things.operations["PurgeThing"];
    assert_eq!(purge.gone.as_deref(), Some("botocore-9.7.0"));
    assert_eq!(purge.class.as_str(), "destroy");
    assert_eq!(purge.resource.as_ref().unwrap().ids, "thingId");
    assert_eq!(things.input(purge).unwrap().members.len(), 2);
    assert_eq!(things.operations["DeleteThing"].gone, None);
    assert_eq!(report["older"]["operations"], json!(["things:PurgeThing"]));
    assert!(things.older.is_empty());
}

#[test]
fn a_service_that_is_gone_is_kept_with_its_hosts() {
    let today = package(&delete_thing("DeleteThing"));
    let older = release("9.7.0", "json", "relics", &delete_by("POST", "/"));
    let out = today.path().join("catalog.bin");
    let mut args = args(today.path(), Some(out.clone()));
    args.services = vec!["all".to_owned()];
    args.older = vec![older.path().to_owned()];
    build(&args).unwrap();
    let catalog = Catalog::from_bytes(fs::read(out).unwrap()).unwrap();
    assert_eq!(catalog.older(), ["botocore-9.7.0"]);
    let relics = catalog.service("relics").unwrap().unwrap();
    assert_eq!(
        relics.operations["DeleteThing"].gone.as_deref(),
        Some("botocore-9.7.0")
    );
    let hosts = catalog.templates("relics").unwrap();
    assert!(
        hosts.contains(&"relics.{region}.{dns}".to_owned()),
        "{hosts:?}"
    );
}

#[test]
fn another_route_is_another_form_unless_only_labels_are_called_otherwise() {
    let today = package(&delete_thing("DeleteThing"));
    let same = release(
        "9.7.0",
        "rest-json",
        "things",
        &delete_by("DELETE", "/things/{Id}/"),
    );
    let other = release(
        "9.6.0",
        "rest-json",
        "things",
        &delete_by("DELETE", "/v1/things/{id}"),
    );
    let (things, report) = things_of(&today, &[&same, &other]);
    let [form] = things.older.as_slice() else {
        panic!("{:?}", things.older);
    };
    assert_eq!(form.release, "botocore-9.6.0");
    assert_eq!(form.operation.uri.as_str(), "/v1/things/{id}");
    assert_eq!(form.operation.input, things.operations["DeleteThing"].input);
    for (path, expected) in [
        ("/v1/things/a", Some("/v1/things/{id}")),
        ("/things/a", Some("/things/{id}")),
        ("/v2/things/a", None),
    ] {
        let (method, headers) = (http::Method::DELETE, http::HeaderMap::new());
        let head = Head {
            method: &method,
            path,
            query: None,
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let found = protocol::identify(&[Arc::clone(&things)], &head, None).ok();
        let uri = found.as_ref().map(|found| found.operation().uri.as_str());
        assert_eq!(uri, expected);
        if let Some(found) = found {
            let input = protocol::decode(&found, &head, b"").unwrap();
            assert_eq!(input.to_json(), json!({"thingId": "a"}));
        }
    }
    assert_eq!(report["older"]["forms"], json!(["things:DeleteThing"]));
}

#[test]
fn a_protocol_that_is_listed_no_more_is_spoken_in_its_own_form() {
    let today = package(&delete_thing("DeleteThing"));
    let mut older = delete_by("POST", "/");
    older["DeleteThing"]["input"]["shape"] = json!("Old");
    let older = release("9.7.0", "json", "things", &older);
    let model = older
        .path()
        .join("botocore/data/things/2020-01-01/service-2.json");
    let mut changed: Value = serde_json::from_slice(&fs::read(&model).unwrap()).unwrap();
    changed["shapes"]["Old"] =
        json!({"type": "structure", "members": {"thingId": {"shape": "Id"}}});
    fs::write(&model, changed.to_string()).unwrap();
    let (things, report) = things_of(&today, &[&older]);
    assert_eq!(things.protocols, [Protocol::RestJson, Protocol::AwsJson]);
    let mut headers = http::HeaderMap::new();
    headers.insert("x-amz-target", "Things_1.DeleteThing".parse().unwrap());
    headers.insert(
        "content-type",
        "application/x-amz-json-1.1".parse().unwrap(),
    );
    let head = Head {
        method: &http::Method::POST,
        path: "/",
        query: None,
        headers: &headers,
        addressed: &Addressed::Service,
    };
    let found = protocol::identify(&[Arc::clone(&things)], &head, None).unwrap();
    let input = protocol::decode(&found, &head, br#"{"thingId":"a"}"#).unwrap();
    assert_eq!(input.to_json(), json!({"thingId": "a"}));
    let form = found.operation();
    let member = &things.input(form).unwrap().members[0];
    assert_eq!(
        (member.name.as_str(), member.location),
        ("thingId", Location::Body)
    );
    let today = &things.operations["DeleteThing"];
    assert_eq!(
        things.input(today).unwrap().members[0].location,
        Location::Label
    );
    assert_eq!(report["older"]["protocols"], json!(["things"]));
}

#[test]
fn a_package_that_is_not_older_is_refused() {
    let today = package(&delete_thing("DeleteThing"));
    let same = package(&delete_thing("DeleteThing"));
    let mut args = args(today.path(), None);
    args.older = vec![same.path().to_owned()];
    let error = build(&args).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("which isn't older than botocore-9.8.7"),
        "{error}"
    );
}

#[test]
fn what_is_much_is_counted_unless_all_of_it_is_asked_for() {
    let mut operations = json!({});
    for at in 0..11 {
        operations[format!("DeleteThing{at}")] = delete_thing("DeleteThing")["DeleteThing"].clone();
    }
    let folder = package(&operations);
    let mut args = args(folder.path(), None);
    args.json = false;
    let brief = build(&args).unwrap();
    assert!(
        brief.contains("    11  operations that are new") && !brief.contains("DeleteThing3"),
        "{brief}"
    );
    assert!(brief.contains("`--details` lists them all"));
    args.details = true;
    assert!(
        build(&args)
            .unwrap()
            .contains("things:DeleteThing3 (destroy)")
    );
}

#[test]
fn every_service_is_listed_with_its_classes() {
    let few = few(&["sts", "evs"]);
    let listed = shown("", &few).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].starts_with("SERVICE") && lines[0].ends_with("GRANT"));
    assert!(lines[1].starts_with("evs ") && lines[2].starts_with("sts "));
    assert!(lines[3].starts_with("2 services"));
    assert_eq!(few.decoded(), 0);
}

#[test]
fn nothing_is_written_without_a_file_to_write_to() {
    let folder = package(&delete_thing("DeleteThing"));
    build(&args(folder.path(), None)).unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn a_delete_that_no_rule_guards_stops_the_build() {
    let folder = package(&delete_thing("GetThing"));
    let error = build(&args(folder.path(), None)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`things:GetThing` is an HTTP DELETE"),
        "{error}"
    );
}

#[test]
fn a_verb_that_no_rule_lists_is_reported() {
    let operations = json!({"FrobThing": {
        "name": "FrobThing", "http": {"method": "POST", "requestUri": "/"},
    }});
    let folder = package(&operations);
    let report: Value = serde_json::from_str(&build(&args(folder.path(), None)).unwrap()).unwrap();
    assert_eq!(report["unlisted"], json!(["things:FrobThing"]));
}

#[test]
fn a_service_that_botocore_lacks_is_named_with_the_nearest() {
    let folder = package(&delete_thing("DeleteThing"));
    let mut args = args(folder.path(), None);
    args.services = vec!["thing".to_owned()];
    let error = build(&args).unwrap_err();
    assert!(
        error.to_string().contains("did you mean `things`?"),
        "{error}"
    );
}

#[test]
fn what_is_no_package_says_so() {
    let empty = tempfile::tempdir().unwrap();
    fs::create_dir(empty.path().join("data")).unwrap();
    assert!(build(&args(empty.path(), None)).is_err());
    let text = empty.path().join("text.whl");
    fs::write(&text, "not a wheel").unwrap();
    let error = build(&args(&text, None)).unwrap_err();
    assert!(error.to_string().contains("is not a wheel"), "{error}");
}

#[test]
fn an_operation_is_shown_with_groups_resource_and_input() {
    check_show(
        "workspaces:TerminateWorkspaces",
        &[
            "Action::\"workspaces:TerminateWorkspaces\"",
            "Action::\"destroy\", Action::\"workspaces:*\"",
            "resource TerminateWorkspaceRequests[].WorkspaceId",
            "tags looked up by DescribeTags",
            "  TerminateWorkspaceRequests: list of structure, at most 25, required",
            "    WorkspaceId: string, required",
        ],
    );
    check_show(
        "workspaces:StopWorkspaces",
        &["Action::\"interrupt\", Action::\"disrupt\""],
    );
    check_show(
        "evs:DeleteEntitlement",
        &["resource environmentId / connectorId / vmIds[]"],
    );
    check_show(
        "dynamodb:BatchWriteItem",
        &["or destroy, where RequestItems{}[].DeleteRequest is given"],
    );
    check_show("lambda:CreateFunction", &["hands over a role or code in "]);
    check_show(
        "workspaces:DescribeTags",
        &["output", "  TagList: list of structure"],
    );
}

#[test]
fn what_is_told_of_an_operation_begins_in_one_column() {
    for (what, lines) in [
        (
            "rds:DeleteDBInstance",
            [
                "tags                looked up by DescribeDBInstances\n",
                "deletionProtection  looked up by DescribeDBInstances\n",
            ],
        ),
        (
            "sts:AssumeRoleWithWebIdentity",
            [
                "request    POST / in query\n",
                "signature  none: callers send it unsigned\n",
            ],
        ),
    ] {
        let shown = shown(what, &EMBEDDED).unwrap();
        for line in lines {
            assert!(shown.contains(line), "`{line}` in:\n{shown}");
        }
    }
}

#[test]
fn a_service_is_shown_with_its_operations() {
    check_show(
        "mgn",
        &["TerminateTargetInstances", "destroy", "sourceServerIDs[]"],
    );
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest() {
    check_unknown("workspace", "did you mean `workspaces`?");
    check_unknown(
        "workspaces:TerminateWorkspace",
        "did you mean `workspaces:TerminateWorkspaces`?",
    );
    let few = few(&["sts"]);
    let error = shown("ec2:TerminateInstances", &few).unwrap_err();
    assert!(error.to_string().contains("holds no operations of `ec2`"));
    assert!(
        shown("ec2", &few)
            .unwrap()
            .contains("none of its operations")
    );
}
