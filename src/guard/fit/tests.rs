use super::*;
use crate::aws::catalog::few::few;
use crate::guard::knowledge::Knowledge;

fn fit(files: &[(&str, &str)]) -> Result<(), FitError> {
    let catalog = Catalog::embedded().unwrap();
    let files: Vec<(String, String)> = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    let knowledge = if files.is_empty() {
        Knowledge::embedded().unwrap()
    } else {
        Knowledge::default().overlay(&files).unwrap()
    };
    check(knowledge.services(), &catalog)
}

fn misfit(text: &str, expected: &str) {
    let found = fit(&[("x.toml", text)]).expect_err(text).to_string();
    let expected = format!("the service files don't fit the catalog: {expected}");
    assert_eq!(found, expected, "{text}");
}

#[test]
fn the_embedded_files_fit_the_embedded_catalog() {
    assert_eq!(fit(&[]), Ok(()));
}

#[test]
fn a_service_or_an_operation_that_is_none_is_told_with_the_nearest() {
    misfit(
        "service = \"workspace\"",
        "AWS has no service `workspace`; did you mean `workspaces`?",
    );
    misfit(
        "service = \"mgn\"\n[operations.TerminateTargetInstance]",
        "`mgn` has no operation `TerminateTargetInstance`, which `operations.TerminateTargetInstance` names; \
         did you mean `TerminateTargetInstances`?",
    );
}

#[test]
fn a_file_of_a_service_whose_operations_are_left_out_is_held_to_nothing() {
    let file = "service = \"ec2\"\n[operations.Anything]";
    let files = [("x.toml".to_owned(), file.to_owned())];
    let knowledge = Knowledge::default().overlay(&files).unwrap();
    assert_eq!(check(knowledge.services(), &few(&["sts"])), Ok(()));
}

#[test]
fn a_path_that_leads_nowhere_is_told() {
    let resources = |ids: &str| {
        format!(
            "service = \"mgn\"\n[operations.DeleteWave.resources]\nids = \"{ids}\"\ntype = \"mgn:Wave\"\n"
        )
    };
    assert_eq!(fit(&[("x.toml", &resources("waveID"))]), Ok(()));
    for wrong in ["waveId", "waveID[]", "waveID.x", "x.waveID"] {
        misfit(
            &resources(wrong),
            &format!(
                "`operations.DeleteWave` of `mgn` says `{wrong}`, but the input has nothing there"
            ),
        );
    }
    misfit(
        &resources("waveID").replace("type", "name = \"waveName\"\ntype"),
        "`operations.DeleteWave` of `mgn` says `waveName`, but the input has nothing there",
    );
    misfit(
        &format!(
            "{}parents = [{{ id = \"of\", type = \"x\" }}]",
            resources("waveID")
        ),
        "`operations.DeleteWave` of `mgn` says `of`, but the input has nothing there",
    );
    misfit(
        "service = \"mgn\"\n[operations.TerminateTargetInstances.resources]\nids = \"sourceServerIDs\"\ntype = \"x\"",
        "`operations.TerminateTargetInstances` of `mgn` says `sourceServerIDs`, where the input has a list, not a text",
    );
    for key in ["selectors", "tag_keys"] {
        misfit(
            &format!("service = \"mgn\"\n[operations.DeleteWave]\n{key} = [\"tags\"]"),
            "`operations.DeleteWave` of `mgn` says `tags`, but the input has nothing there",
        );
    }
    misfit(
        "service = \"mgn\"\n[operations.DeleteWave]\ndefaults = { \"x.y\" = \"z\" }",
        "`operations.DeleteWave` of `mgn` says `x.y`, but the input has nothing there",
    );
    misfit(
        "service = \"evs\"\naccount = \"accountID\"",
        "`account` of `evs` says `accountID`, but every input has nothing there",
    );
}

const LOOKUP: &str = r#"service = "mgn"
[lookups.server]
operation = "DescribeSourceServers"
batch = 200
inputs = [{ filters = { sourceServerIDs = ["{id}"] } }]
account = "accountID"
items = "items[]"
id = "sourceServerID"
tags = "tags"
attributes = { state = "lifeCycle.state" }
next = ["nextToken", "nextToken"]
"#;

#[test]
fn a_lookup_that_asks_or_reads_amiss_is_told() {
    assert_eq!(fit(&[("x.toml", LOOKUP)]), Ok(()));
    for (from, to, expected) in [
        (
            "DescribeSourceServers",
            "DescribeServers",
            "has no operation `DescribeServers`",
        ),
        (
            "DescribeSourceServers",
            "DeleteWave",
            "asks by `DeleteWave`, which is no read",
        ),
        (
            "sourceServerIDs",
            "sourceServerIds",
            "whose input isn't right",
        ),
        ("[\"{id}\"]", "\"{id}\"", "whose input isn't right"),
        (
            "account = \"accountID\"",
            "account = \"accountId\"",
            "whose input isn't right",
        ),
        ("\"nextToken\"]", "\"next\"]", "whose input isn't right"),
        (
            "[\"nextToken\",",
            "[\"next\",",
            "turns pages by a member that the answer hasn't",
        ),
        (
            "items[]",
            "item[]",
            "says `item[]`, but the answer has nothing there",
        ),
        (
            "\"items[]\"",
            "\"items\"",
            "where the answer has a list, not a structure",
        ),
        (
            "id = \"sourceServerID\"",
            "id = \"sourceServerId\"",
            "says `sourceServerId`, but the answer has nothing",
        ),
        ("id = \"sourceServerID\"\n", "", "has `items` but no `id`"),
        ("items = \"items[]\"\n", "", "has a `batch` but no `items`"),
        (
            "items = \"items[]\"",
            "items = \"items[]\"\nitem = \"items\"",
            "has both `items` and `item`",
        ),
        (
            "tags = \"tags\"",
            "tags = \"tag\"",
            "says `tag`, but the answer has nothing there",
        ),
        (
            "tags = \"tags\"",
            "tags = \"arn\"",
            "where the answer has a text, not tags",
        ),
        (
            "lifeCycle.state",
            "lifecycle.state",
            "says `lifecycle.state`, but the answer has nothing there",
        ),
        (
            "lifeCycle.state",
            "lifeCycle",
            "where the answer has a structure, not a text",
        ),
    ] {
        let text = LOOKUP.replacen(from, to, 1);
        assert_ne!(text, LOOKUP, "{from}");
        let found = fit(&[("x.toml", &text)]).expect_err(&text).to_string();
        assert!(found.contains(expected), "`{expected}`: {found}");
    }
}
