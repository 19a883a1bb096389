//! The table, held to AWS's list of actions and to the embedded catalog.

use super::*;
use crate::aws::catalog::Catalog;

fn needs(action: &str) -> String {
    let (id, name) = action.split_once(':').unwrap();
    let catalog = Catalog::embedded().unwrap();
    let service = catalog.service(id).unwrap().unwrap();
    match Iam::embedded()
        .unwrap()
        .needs(&service, &service.operations[name])
    {
        Needs::Actions(actions) => {
            let spelt = actions.iter().map(|a| format!("{}:{}", a.prefix, a.name));
            spelt.collect::<Vec<_>>().join(" ")
        }
        Needs::Left(why) => format!("left: {why}"),
        Needs::Unknown(looked_for) => format!("unknown: {looked_for}"),
    }
}

#[track_caller]
fn check(action: &str, expected: &str) {
    assert_eq!(needs(action), expected, "{action}");
}

#[test]
fn most_actions_are_called_as_their_operation() {
    check("ec2:TerminateInstances", "ec2:TerminateInstances");
    check("docdb:DeleteDBCluster", "rds:DeleteDBCluster");
    check(
        "elbv2:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteLoadBalancer",
    );
}

#[test]
fn those_that_are_called_otherwise_are_data() {
    check(
        "s3:ListObjectsV2",
        "s3:ListBucket s3-outposts:ListBucket s3-object-lambda:ListBucket",
    );
    check(
        "s3:DeleteBucketEncryption",
        "s3:PutEncryptionConfiguration s3express:PutEncryptionConfiguration",
    );
    check("lambda:Invoke", "lambda:InvokeFunction");
    check("cloudwatch:DeleteAlarms", "cloudwatch:DeleteAlarms");
    check("apigateway:DeleteRestApi", "apigateway:DELETE");
    check("apigatewayv2:DeletePortal", "apigateway:DeletePortal");
    assert!(needs("s3:HeadObject").starts_with("s3:GetObject "));
    assert!(needs("s3:CompleteMultipartUpload").starts_with("s3:PutObject "));
    assert!(needs("s3:DeleteObjects").contains(" s3:DeleteObjectVersion "));
}

#[test]
fn what_the_list_hasnt_is_unknown_and_what_isnt_to_be_forbidden_is_left() {
    check(
        "macie:DisassociateS3Resources",
        "unknown: macie:DisassociateS3Resources",
    );
    assert!(needs("sts:AssumeRole").starts_with("left: forbidden, nobody"));
}

#[test]
fn an_exception_that_names_no_action_is_an_error() {
    let text = "[resource_control]\nsource = \"-\"\ndate = \"-\"\nprefixes = []\n\
                [also_by_name]\ngroup = \"-\"\ncalls = \"-\"\nwords = []\nharmless = []\n\
                [service.s3]\nwhy = \"-\"\nprefixes = [\"s3\"]\n\
                actions = { DeleteObject = [\"DeleteNothing\"] }";
    assert_eq!(
        Iam::parse(text).unwrap_err().to_string(),
        "`config/iam.toml`: `s3:DeleteObject` needs `DeleteNothing`, which AWS's list of actions hasn't",
    );
}

#[test]
fn one_that_is_judged_and_that_there_is_not_is_an_error() {
    let text = "[resource_control]\nsource = \"-\"\ndate = \"-\"\nprefixes = []\n[service]\n\
                [also_by_name]\ngroup = \"-\"\ncalls = \"-\"\nwords = []\nharmless = [\"es:Nothing\"]";
    let error = Iam::parse(text).unwrap_err().to_string();
    assert!(error.contains("hasn't `es:Nothing`"), "{error}");
}

#[test]
fn the_exceptions_are_about_what_there_is() {
    let iam = Iam::embedded().unwrap();
    let catalog = Catalog::embedded().unwrap();
    for (id, said) in &iam.exceptions {
        let service = catalog.service(id).unwrap();
        let service = service.unwrap_or_else(|| panic!("there is no service `{id}`"));
        assert!(!said.why.is_empty(), "{id}");
        for prefix in &said.prefixes {
            assert!(iam.under(prefix).is_some(), "{id}: {prefix}");
        }
        for (name, asked) in &said.by_input {
            let operation = &service.operations[name];
            let found = iam.needs_by_input(&service, operation).unwrap();
            assert_eq!(found.actions.len(), asked.actions.len(), "{id}:{name}");
            let mut conditions = operation.conditions.iter();
            assert!(conditions.any(|c| c.class == found.class), "{id}:{name}");
            // Where it isn't all that is asked for, the operation has an action of its own.
            let has_own = matches!(iam.needs(&service, operation), Needs::Actions(_));
            assert_eq!(has_own, !found.all, "{id}:{name}");
        }
        for name in said.actions.keys().chain(said.left.keys()) {
            let operation = service.operations.get(name);
            let operation = operation.unwrap_or_else(|| panic!("there is no `{id}:{name}`"));
            let needs = iam.needs(&service, operation);
            assert!(
                !matches!(needs, Needs::Unknown(_)),
                "{id}:{name}: {needs:?}"
            );
        }
    }
}

#[test]
fn resource_control_is_of_prefixes_that_there_are_by_a_page_of_a_day() {
    let iam = Iam::embedded().unwrap();
    let held = iam.resource_control();
    for prefix in &held.prefixes {
        assert!(iam.under(prefix).is_some(), "{prefix}");
        assert!(held.holds(prefix));
    }
    assert!(held.prefixes.is_sorted());
    assert!(
        held.source
            .starts_with("https://docs.aws.amazon.com/organizations/")
    );
    let lengths: Vec<usize> = held.date.split('-').map(str::len).collect();
    assert_eq!(lengths, [4, 2, 2]);
    assert!(!held.holds("ec2") && !held.holds("es") && !held.holds("s3express"));
}

#[test]
fn the_list_is_of_the_release_that_the_catalog_is_made_of() {
    let pinned = include_str!("../../../config/botocore.txt");
    let (_, version) = pinned.split_once("cfn-lint==").unwrap();
    let version = version.split(' ').next().unwrap();
    let head = ACTIONS.lines().next().unwrap();
    assert!(head.contains(&format!("of cfn-lint {version},")), "{head}");
}

#[test]
fn hardly_any_guarded_operation_is_unknown() {
    let iam = Iam::embedded().unwrap();
    let catalog = Catalog::embedded().unwrap();
    let (mut all, mut unknown) = (0, 0);
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        let current = service.operations.values();
        for operation in current.filter(|o| o.class.is_guarded() && o.gone.is_none()) {
            all += 1;
            unknown += usize::from(matches!(iam.needs(&service, operation), Needs::Unknown(_)));
        }
    }
    assert!(all > 5_000, "{all}");
    assert!(unknown * 20 < all, "{unknown} of {all}");
}
