use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::aws::catalog::few::few;

static EMBEDDED: std::sync::LazyLock<Catalog> =
    std::sync::LazyLock::new(|| Catalog::embedded().unwrap());

/// A package with one small service, as botocore lays it out.
fn package(operations: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &str| {
        let path = folder.path().join("botocore").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    };
    write("__init__.py", "import os\n\n__version__ = '9.8.7'\n");
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
                "apiVersion": "2020-01-01", "endpointPrefix": "things", "protocol": "rest-json",
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
    write("data/things/2019-01-01/service-2.json", &model(&json!({})));
    write("data/things/2020-01-01/service-2.json", &model(operations));
    let rules = json!({"parameters": {}, "rules": [{
        "type": "tree", "rules": [{
            "type": "endpoint", "conditions": [],
            "endpoint": {"url": "https://things.{Region}.{P#dnsSuffix}"},
        }],
        "conditions": [{"fn": "aws.partition", "argv": [{"ref": "Region"}], "assign": "P"}],
    }]});
    write(
        "data/things/2020-01-01/endpoint-rule-set-1.json",
        &rules.to_string(),
    );
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
        services: vec!["things".to_owned()],
        out,
        json: true,
    }
}

fn check_show(what: &str, expected: &[&str]) {
    let args = ShowArgs {
        what: what.to_owned(),
        json: false,
    };
    let shown = show(&args, &EMBEDDED).unwrap();
    for part in expected {
        assert!(shown.contains(part), "`{part}` in:\n{shown}");
    }
}

fn check_unknown(what: &str, expected: &str) {
    let args = ShowArgs {
        what: what.to_owned(),
        json: false,
    };
    let error = show(&args, &EMBEDDED).unwrap_err();
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
            "resource  TerminateWorkspaceRequests[].WorkspaceId",
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
        &["resource  environmentId / connectorId / vmIds[]"],
    );
    check_show(
        "workspaces:DescribeTags",
        &["output", "  TagList: list of structure"],
    );
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
    let args = |what: &str| ShowArgs {
        what: what.to_owned(),
        json: false,
    };
    let few = few(&["sts"]);
    let error = show(&args("ec2:TerminateInstances"), &few).unwrap_err();
    assert!(error.to_string().contains("holds no operations of `ec2`"));
    assert!(
        show(&args("ec2"), &few)
            .unwrap()
            .contains("none of its operations")
    );
}
