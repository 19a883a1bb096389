//! The command whole, on the embedded catalog.

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

const ROLES: [&str; 6] = [
    "scp",
    "--guard-role=arn:aws:iam::*:role/palisade/guarded",
    "--work-role=arn:aws:iam::*:role/palisade/work",
    "--deployer=arn:aws:iam::*:role/palisade/deployer",
    "--break-glass=arn:aws:iam::*:role/palisade/break-glass",
    "--json",
];

fn report(more: &[&str]) -> anyhow::Result<Value> {
    let line = Line::try_parse_from(ROLES.iter().chain(more))?;
    let catalog = Catalog::embedded()?;
    Ok(serde_json::from_str(&run(&line.arguments, &catalog)?)?)
}

#[track_caller]
fn refused(more: &[&str], expected: &str) {
    let error = format!("{:#}", report(more).unwrap_err());
    assert!(error.contains(expected), "{error}");
}

/// The actions of every statement of that name in the service control policies.
fn actions(report: &Value, sid: &str) -> Vec<String> {
    let documents = report["serviceControl"].as_array().unwrap().iter();
    let statements = documents.flat_map(|d| d["document"]["Statement"].as_array().unwrap());
    let mine = statements.filter(|s| s["Sid"] == sid);
    mine.flat_map(|s| s["Action"].as_array().unwrap())
        .map(|a| a.as_str().unwrap().to_owned())
        .collect()
}

/// Whether one of the patterns fits an action.
fn covers(patterns: &[String], action: &str) -> bool {
    let fits = |p: &String| match p.strip_suffix('*') {
        Some(begin) => action.starts_with(begin),
        None => action == p,
    };
    patterns.iter().any(fits)
}

#[test]
fn what_something_unguarded_needs_too_is_the_work_roles_as_well() {
    let report = report(&["--service", "s3,workspaces", "--class", "destroy"]).unwrap();
    let guarded = actions(&report, "PalisadeGuarded");
    assert!(
        guarded
            .iter()
            .any(|g| g.starts_with("workspaces:Terminate")),
        "{guarded:?}"
    );
    // Setting a bucket's encryption is a write, and needs the action that takes it away, too.
    let shared = actions(&report, "PalisadeShared");
    assert!(
        shared.iter().any(|s| s.starts_with("s3:PutEncryption")),
        "{shared:?}"
    );
    assert!(guarded.iter().all(|g| !shared.contains(g)));
    let along = report["takenAlong"].as_array().unwrap();
    assert!(
        along
            .iter()
            .any(|t| t["operation"] == "s3:PutBucketEncryption")
    );
}

#[test]
fn what_only_guarded_operations_need_is_not_the_work_roles_whatever_their_class() {
    let report = report(&["--service", "s3,dynamodb"]).unwrap();
    let guarded = actions(&report, "PalisadeGuarded");
    let shared = actions(&report, "PalisadeShared");
    for action in [
        "dynamodb:DeleteItem",
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject",
        "s3:PutLifecycleConfiguration",
        "s3:PutReplicationConfiguration",
    ] {
        assert!(covers(&guarded, action), "{action}: {guarded:?}");
        assert!(!covers(&shared, action), "{action}: {shared:?}");
    }
    // Parts of a transaction that no more than write.
    for action in ["dynamodb:PutItem", "dynamodb:UpdateItem"] {
        assert!(!covers(&guarded, action) && !covers(&shared, action));
    }
    // Of another class that is guarded, and told all the same.
    let mut along = report["takenAlong"].as_array().unwrap().iter();
    assert!(along.any(|t| t["operation"] == "s3:PutBucketLifecycleConfiguration"));
}

#[test]
fn no_account_leaves_the_organization_or_is_closed_whatever_is_asked_for() {
    let report = report(&["--service=kms"]).unwrap();
    let statements = report["serviceControl"][0]["document"]["Statement"].as_array();
    let mut statements = statements.unwrap().iter();
    let leaving = statements
        .find(|s| s["Sid"] == "PalisadeOrganization")
        .unwrap();
    let expected = ["account:CloseAccount", "organizations:LeaveOrganization"];
    assert_eq!(leaving["Action"], serde_json::json!(expected));
    assert_eq!(
        (&leaving["Effect"], &leaving["Resource"]),
        (&"Deny".into(), &"*".into())
    );
    assert_eq!(leaving.get("Condition"), None);
}

#[test]
fn no_policy_is_longer_than_aws_takes() {
    let report = report(&["--class=all", "--organization=o-a1b2c3d4e5"]).unwrap();
    assert_eq!(report["fits"], false);
    for kind in ["serviceControl", "resourceControl"] {
        let policies = report[kind].as_array().unwrap();
        assert!(!policies.is_empty());
        for policy in policies {
            let text = policy["document"].to_string();
            assert!(text.chars().count() <= 5_120, "{}", policy["name"]);
        }
    }
}

#[test]
fn what_destroys_fits_with_every_kind_of_role_named() {
    assert_eq!(report(&[]).unwrap()["fits"], true);
}

#[test]
fn more_than_one_target_takes_is_told_with_what_to_narrow() {
    let line = Line::try_parse_from(ROLES.iter().take(5).chain(&["--class", "all"])).unwrap();
    let text = run(&line.arguments, &Catalog::embedded().unwrap()).unwrap();
    assert!(text.contains("TOO MANY for one target"), "{text}");
    assert!(text.contains("by --class, each alone: tag "), "{text}");
}

#[test]
fn every_guarded_operation_is_covered_or_told_with_a_reason() {
    let report = report(&["--class", "all"]).unwrap();
    let count = |key: &str| report[key].as_array().unwrap().len();
    let catalog = Catalog::embedded().unwrap();
    let mut guarded = 0;
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        let operations = service.operations.values().filter(|o| o.is_of_aws());
        guarded += operations.filter(|o| o.class.is_guarded()).count();
    }
    assert_eq!(count("covered") + count("uncovered"), guarded);
    let mut uncovered = report["uncovered"].as_array().unwrap().iter();
    assert!(uncovered.all(|u| !u["why"].as_str().unwrap().is_empty()));
}

#[test]
fn what_is_guarded_for_some_inputs_is_told_or_taken_in() {
    let name = Value::from("rds:ModifyDBInstance");
    let told = |report: &Value| {
        let told = report["guardedByInputOnly"].as_array().unwrap();
        told.contains(&name)
    };
    assert!(told(
        &report(&["--service=rds", "--class=destroy,unprotect"]).unwrap()
    ));
    let with = report(&["--service=rds", "--class=destroy,unprotect", "--by-input"]).unwrap();
    assert!(!told(&with));
    let mut covered = with["covered"].as_array().unwrap().iter();
    assert!(covered.any(|c| c["operation"] == name));
}

#[test]
fn an_operation_that_is_excepted_is_left_to_everyone() {
    let except = "--except=sqs:DeleteMessage,sqs:DeleteMessageBatch";
    let guarded = actions(
        &report(&["--service=sqs", except]).unwrap(),
        "PalisadeGuarded",
    );
    assert!(
        guarded.contains(&"sqs:DeleteQueue".to_owned()),
        "{guarded:?}"
    );
    let mut patterns = guarded.iter();
    assert!(
        patterns.all(|a| !a.starts_with("sqs:DeleteM") && a != "sqs:Delete*"),
        "{guarded:?}"
    );
}

#[test]
fn an_exception_says_which_actions_it_opens_and_which_something_else_keeps() {
    let excepted = |report: &Value, name: &str| {
        let mut all = report["excepted"].as_array().unwrap().iter();
        all.find(|e| e["operation"] == name).unwrap().clone()
    };
    // The batch needs the same actions.
    let one = report(&["--service=s3", "--except=s3:DeleteObject"]).unwrap();
    let told = excepted(&one, "s3:DeleteObject");
    assert_eq!(told["left"], serde_json::json!([]));
    let kept = &told["kept"][0];
    assert_eq!(kept["action"], "s3:DeleteObject");
    assert_eq!(kept["by"], serde_json::json!(["s3:DeleteObjects"]));

    let both = ["--service=s3", "--except=s3:DeleteObject,s3:DeleteObjects"];
    let told = excepted(&report(&both).unwrap(), "s3:DeleteObject");
    let left = told["left"].as_array().unwrap();
    for action in [
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:BypassGovernanceRetention",
    ] {
        assert!(left.contains(&action.into()), "{left:?}");
    }

    let keep = "--also=s3:DeleteObjectVersion,s3:BypassGovernanceRetention";
    let report = report(&[both[0], both[1], keep]).unwrap();
    let told = excepted(&report, "s3:DeleteObject");
    assert!(
        told["left"]
            .as_array()
            .unwrap()
            .contains(&"s3:DeleteObject".into())
    );
    assert_eq!(told["kept"][0]["by"], serde_json::json!(["--also"]));
    let guarded = actions(&report, "PalisadeGuarded");
    for action in ["s3:BypassGovernanceRetention", "s3:DeleteObjectVersion"] {
        assert!(covers(&guarded, action), "{guarded:?}");
    }
    assert!(!covers(&guarded, "s3:DeleteObject"), "{guarded:?}");
    let also = &report["also"][1];
    assert_eq!(also["action"], "s3:DeleteObjectVersion");
    assert!(
        also["guardedOperations"]
            .as_array()
            .unwrap()
            .contains(&"s3:DeleteObjects".into())
    );
}

#[test]
fn what_destroys_and_is_no_operation_is_left_open_by_name_or_denied() {
    let open = |report: &Value, action: &str| {
        let mut all = report["leftOpen"].as_array().unwrap().iter();
        all.find(|o| o["action"] == action)
            .map(|o| o["group"].clone())
    };
    let all = report(&[]).unwrap();
    for (action, group) in [
        ("es:ESHttpDelete", "data"),
        ("es:ESHttpPost", "access"),
        ("aoss:APIAccessAll", "access"),
        ("neptune-db:DeleteDataViaQuery", "data"),
        ("kafka-cluster:DeleteTopic", "data"),
        ("s3:ReplicateDelete", "beside"),
        ("chime:DeleteDomain", "other"),
    ] {
        assert_eq!(open(&all, action), Some(group.into()), "{action}");
    }
    // Operations that are forbidden need these.
    for action in [
        "cassandra:Drop",
        "apigateway:DELETE",
        "neptune-db:ResetDatabase",
    ] {
        assert_eq!(open(&all, action), None, "{action}");
    }
    let some = report(&[
        "--service=opensearch,neptunedata",
        "--also=data,es:ESHttpPut",
    ])
    .unwrap();
    let guarded = actions(&some, "PalisadeGuarded");
    for action in [
        "es:ESHttpDelete",
        "es:ESHttpPut",
        "neptune-db:DeleteDataViaQuery",
    ] {
        assert_eq!(open(&some, action), None, "{action}");
        assert!(covers(&guarded, action), "{guarded:?}");
    }
    assert_eq!(open(&some, "es:ESHttpPost"), Some("access".into()));
    assert_eq!(
        open(&some, "kafka-cluster:DeleteTopic"),
        None,
        "not asked for"
    );
    let denied = some["also"].as_array().unwrap();
    let of = |action: &str| denied.iter().find(|d| d["action"] == action).unwrap();
    assert_eq!(
        of("es:ESHttpDelete")["guardedOperations"],
        serde_json::json!([])
    );
    let queries = &of("neptune-db:DeleteDataViaQuery")["guardedOperations"];
    assert!(
        queries
            .as_array()
            .unwrap()
            .contains(&"neptunedata:ExecuteGremlinQuery".into())
    );
    // Nothing destroys by it, and it is another class's matter.
    assert_eq!(
        report(&["--class=tag"]).unwrap()["leftOpen"],
        serde_json::json!([])
    );
}

#[test]
fn an_action_that_unguarded_calls_need_is_not_denied_by_its_name() {
    refused(
        &["--also=s3:GetObject"],
        "is what calls that aren't guarded need, too",
    );
    refused(&["--also=es:ESHttpErase"], "has no `es:ESHttpErase`");
    refused(
        &["--also=everything"],
        "there are access, beside, data, other, and `all`",
    );
    refused(
        &["--service=kms", "--also=data"],
        "nothing of `data` destroys at the services",
    );
}

#[test]
fn a_transaction_is_covered_by_what_its_parts_need() {
    let told = |report: &Value, list: &str, name: &str| {
        let mut all = report[list].as_array().unwrap().iter();
        all.any(|o| *o == name || o["operation"] == name)
    };
    let transaction = "dynamodb:TransactWriteItems";
    let table = "dynamodb:UpdateTable";
    let plain = report(&["--service=dynamodb"]).unwrap();
    assert!(told(&plain, "coveredByPart", transaction));
    assert!(!told(&plain, "guardedByInputOnly", transaction));
    assert!(!told(&plain, "uncovered", transaction));
    // A batch is one action, whatever is in it; of what a table loses only its replicas are an action of their own.
    assert!(told(
        &plain,
        "guardedByInputOnly",
        "dynamodb:BatchWriteItem"
    ));
    assert!(told(&plain, "guardedByInputOnly", table) && told(&plain, "coveredByPart", table));
    let guarded = actions(&plain, "PalisadeGuarded");
    let covers = |action: &str| covers(&guarded, action);
    assert!(
        covers("dynamodb:DeleteItem") && covers("dynamodb:DeleteTableReplica"),
        "{guarded:?}"
    );
    assert!(
        !covers("dynamodb:PutItem") && !covers("dynamodb:UpdateTable"),
        "{guarded:?}"
    );
    let with = report(&["--service=dynamodb", "--by-input"]).unwrap();
    assert!(told(&with, "coveredByPart", transaction) && !told(&with, "uncovered", transaction));
    // Left to everyone, a deletion is the transaction's still.
    let except = report(&["--service=dynamodb", "--except=dynamodb:DeleteItem"]).unwrap();
    let kept = &except["excepted"][0]["kept"][0];
    assert_eq!(kept["by"], serde_json::json!([transaction]));
    let both = "--except=dynamodb:DeleteItem,dynamodb:TransactWriteItems";
    let except = report(&["--service=dynamodb", both]).unwrap();
    assert_eq!(
        except["excepted"][0]["left"],
        serde_json::json!(["dynamodb:DeleteItem"])
    );
    assert!(!told(&except, "coveredByPart", transaction));
}

#[test]
fn a_lock_that_a_deletion_may_bypass_is_the_guards() {
    let guarded = actions(
        &report(&["--service=fsx,storagegateway"]).unwrap(),
        "PalisadeGuarded",
    );
    for action in ["fsx:Bypass", "storagegateway:Bypass"] {
        assert!(guarded.iter().any(|g| g.starts_with(action)), "{guarded:?}");
    }
}

#[test]
fn what_keeps_the_guard_itself_stands_apart_where_that_is_asked_for() {
    let sids = |document: &Value| {
        let statements = document["document"]["Statement"].as_array().unwrap().iter();
        statements
            .map(|s| s["Sid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let own = ["PalisadeRoles", "PalisadeOrganization", "PalisadeAlarm"];
    let together = report(&["--service=kms"]).unwrap();
    assert_eq!(together["roles"], Value::Null);
    assert_eq!(sids(&together["serviceControl"][0])[..3], own);
    let apart = report(&["--service=kms", "--roles-apart"]).unwrap();
    assert_eq!(sids(&apart["roles"]), own);
    assert_eq!(apart["roles"]["name"], "roles");
    assert_eq!(sids(&apart["serviceControl"][0]), ["PalisadeGuarded"]);
}

#[test]
fn resource_control_policies_hold_what_aws_lists() {
    let organization = "--organization=o-a1b2c3d4e5";
    let report = report(&["--service=dynamodb,ec2,es,kms", organization]).unwrap();
    let policies = report["resourceControl"].as_array().unwrap().iter();
    let statements = policies.flat_map(|p| p["document"]["Statement"].as_array().unwrap());
    let actions = statements.flat_map(|s| s["Action"].as_array().unwrap());
    let prefixes = actions.map(|a| a.as_str().unwrap().split(':').next().unwrap());
    let prefixes: std::collections::BTreeSet<&str> = prefixes.collect();
    assert_eq!(Vec::from_iter(prefixes), ["dynamodb", "kms"]);
    let takes = &report["resourceControlTakes"];
    assert!(
        takes["prefixes"]
            .as_array()
            .unwrap()
            .contains(&"dynamodb".into())
    );
    let more = ["--service=kms", organization];
    let line = Line::try_parse_from(ROLES.iter().take(5).chain(&more)).unwrap();
    let text = run(&line.arguments, &Catalog::embedded().unwrap()).unwrap();
    assert!(
        text.contains(&format!(
            "AWS's list of {}",
            takes["date"].as_str().unwrap()
        )),
        "{text}"
    );
}

/// Runs the command on a folder, and gives its report as text.
fn into(folder: &std::path::Path, more: &[&str]) -> anyhow::Result<String> {
    let out = format!("--out={}", folder.display());
    let line = ROLES
        .iter()
        .take(5)
        .chain(more)
        .copied()
        .chain([out.as_str()]);
    let line = Line::try_parse_from(line)?;
    run(&line.arguments, &Catalog::embedded()?)
}

#[test]
fn only_files_that_a_run_wrote_are_replaced_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let names = || {
        let entries = folder.path().read_dir().unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<String>>()
    };
    let foreign = |name: &str, expected: &str| {
        let (file, before) = (folder.path().join(name), names());
        let kept = std::fs::read(&file).ok();
        std::fs::write(&file, "{}").unwrap();
        let error = format!("{:#}", into(folder.path(), &["--service=kms"]).unwrap_err());
        assert!(error.contains(expected) && error.contains(name), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
        match kept {
            Some(kept) => std::fs::write(&file, kept).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        assert_eq!(names(), before, "nothing else is changed");
    };
    foreign("scp-1.json", "would be replaced");
    foreign("CUT-OFF.txt", "would be replaced");
    foreign("endpoint-mine.json", "taken for one of its policies");
    foreign("rcp-9.json", "taken for one of its policies");
    foreign("roles.json", "taken for one of its policies");
    foreign("report.json", "is no report of `palisade scp`");
    assert!(names().is_empty());

    std::fs::write(folder.path().join("notes.json"), "{}").unwrap();
    let all = [
        "--service=kms",
        "--endpoint=kms",
        "--roles-apart",
        "--organization=o-a1b2c3d4e5",
    ];
    into(folder.path(), &all).unwrap();
    for name in [
        "endpoint-kms.json",
        "rcp-1.json",
        "roles.json",
        "notes.json",
    ] {
        assert!(names().contains(name), "{name}");
    }
    foreign("endpoint-mine.json", "taken for one of its policies");
    into(folder.path(), &["--service=kms"]).unwrap();
    let left = [
        "CUT-OFF.txt",
        "notes.json",
        "organization.template.json",
        "report.json",
        "scp-1.json",
    ];
    assert_eq!(Vec::from_iter(names()), left);
}

#[test]
fn resource_control_policies_keep_out_a_role_of_that_name_elsewhere() {
    let none = report(&["--service=kms"]).unwrap();
    assert_eq!(none["resourceControl"].as_array().unwrap().len(), 0);
    let report = report(&["--service=kms", "--organization=o-a1b2c3d4e5"]).unwrap();
    let statements = &report["resourceControl"][0]["document"]["Statement"];
    let outside = &statements[1]["Condition"]["StringNotEqualsIfExists"]["aws:PrincipalOrgID"];
    assert_eq!(outside, "o-a1b2c3d4e5");
    assert_eq!(statements[0]["Action"], statements[1]["Action"]);
}

#[test]
fn what_would_exempt_everyone_or_can_be_made_by_anyone_is_refused() {
    refused(&["--guard-role=arn:aws:iam::*:role/*"], "exempts everyone");
    refused(
        &["--guard-role=arn:aws:iam::*:role/admin"],
        "isn't under `/palisade/`",
    );
    refused(
        &["--break-glass=arn:aws:iam::*:user/me"],
        "isn't under `/palisade/`",
    );
    refused(
        &["--deployer=arn:aws:iam::*:role/platform"],
        "such as `arn:aws:iam::*:role/palisade/deployer`",
    );
    refused(
        &["--deployer=arn:aws:iam::*:user/palisade/me"],
        "isn't under `/palisade/`",
    );
    refused(
        &["--deployer=arn:aws:iam::*:role/stacksets-exec-*"],
        "could make it there, or take it over",
    );
    refused(
        &["--guard-role=arn:aws:sts::1:assumed-role/x/y"],
        "is no role's ARN",
    );
    refused(
        &["--deployer=arn:aws-cn:iam::*:role/x"],
        "another partition",
    );
    refused(&["--deployer=arn:aws:iam::12:role/x"], "12 digits");
    refused(&["--path=/"], "begins and ends with `/`");
    refused(&["--organization=prod"], "an organization's id is");
}

#[test]
fn what_there_isnt_is_refused_by_its_name() {
    refused(&["--class=delete"], "`delete` is no class that is guarded");
    refused(
        &["--service=work-spaces"],
        "there is no service `work-spaces`; did you mean",
    );
    refused(
        &["--except=sqs:DeleteMesage"],
        "did you mean `sqs:DeleteMessage`?",
    );
    refused(
        &["--service=kms", "--endpoint=s3"],
        "no policy covers an operation of `s3`",
    );
}
