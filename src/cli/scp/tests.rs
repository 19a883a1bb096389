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
    let covers = |patterns: &[String], action: &str| {
        let fits = |p: &String| match p.strip_suffix('*') {
            Some(begin) => action.starts_with(begin),
            None => action == p,
        };
        patterns.iter().any(fits)
    };
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
