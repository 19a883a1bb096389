//! Failure is not absence: what each answer of AWS's lets a decision know.

use super::*;
use crate::aws::catalog::model::Service;
use crate::aws::value::Object;
use crate::guard::knowledge::Knowledge;
use crate::guard::target::{ACCOUNT, ParentId, SELECTOR, Spelling, Target};

/// A service of every kind of lookup: tags alone by id, a description that confirms, a list in batches.
const RULES: &str = r#"
service = "x"
[types."x:Thing"]
arn = "arn:{partition}:x:{region}:{account}:thing/{id}"
lookups = ["tags", "thing"]
never = ["createdAt"]
[types."x:Part"]
facts_of_parent = true
[types."x:Leaf"]
facts_of_parent = true
own_tags = "leaftags"
[types."x:Row"]
lookups = ["rows"]
[types."x:Plain"]
untagged = true
[types."x:Sealed"]
tags_unreadable = "there is no call for it"
[types."x:Far"]
lookups = ["fartags", "far"]
[lookups.leaftags]
operation = "ListLeafTags"
inputs = [{ In = "{parent0}", Id = "{id}" }]
tags = "Tags"
[lookups.tags]
operation = "ListTags"
inputs = [{ Id = "{id}" }]
tags = "Tags"
unknown_id = ["NoSuchThing"]
[lookups.thing]
operation = "GetThing"
inputs = [{ Id = "{id}" }]
inputs_by_name = [{ Name = "{name}" }]
item = "Thing"
id = "Id"
name = "Name"
aliases = ["Alias"]
attributes = { billingMode = "Billing.Mode", state = "State" }
defaults = { billingMode = "HOURLY" }
confirms = true
unknown_id = ["NoSuchThing"]
[lookups.rows]
operation = "ListRows"
batch = 2
inputs = [{ Ids = ["{id}"] }]
items = "Rows[]"
id = "Id"
tags = "Tags"
attributes = { state = "State", createdAt = "Made" }
account = "AccountId"
[lookups.far]
operation = "GetFar"
inputs = [{ Id = "{id}" }]
id = "Id"
arn = "Arn"
[lookups.fartags]
operation = "ListFarTags"
inputs = [{ Arn = "{arn}" }]
tags = "Tags"
"#;

fn knowledge() -> Knowledge {
    let file = ("x.toml".to_owned(), RULES.to_owned());
    Knowledge::default().overlay(&[file]).unwrap()
}

/// A service without operations, as far as lookups see it.
fn service(id: &str) -> Service {
    serde_json::from_value(serde_json::json!({
        "id": id, "full_name": id, "signing_name": id, "signature": "v4", "protocols": ["json"],
        "api_version": "2026-01-01", "operations": {}, "shapes": [],
    }))
    .unwrap()
}

fn object(json: &str) -> Object {
    let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
    value.as_object().unwrap().clone()
}

fn target(kind: &str, id: &str) -> Target {
    Target::new(Spelling::Id(id.to_owned()), kind, Vec::new())
}

fn place() -> Place {
    Place {
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        account_named: false,
    }
}

fn everything() -> Needs {
    let by = || "p".to_owned();
    Needs {
        tags: Some(by()),
        attributes: [(Attribute::BillingMode, by()), (Attribute::State, by())].into(),
        names: Some(by()),
        tag_keys: None,
    }
}

fn tags() -> Needs {
    Needs {
        tags: Some("p".to_owned()),
        ..Needs::default()
    }
}

fn names() -> Needs {
    Needs {
        names: Some("p".to_owned()),
        ..Needs::default()
    }
}

fn attribute(attribute: Attribute) -> Needs {
    Needs {
        attributes: [(attribute, "p".to_owned())].into(),
        ..Needs::default()
    }
}

type Answers<'a> = &'a [(&'a str, &'a str)];

/// What answers give, each by its operation: pages as JSON (several separated by a line), or `!Code` for an error.
fn learn(
    targets: &[Target],
    needs: Needs,
    answers: Answers<'_>,
) -> Result<Vec<Facts>, EnquiryError> {
    let knowledge = knowledge();
    let service = service("x");
    let mut enquiry = Enquiry::new(&knowledge, &service, targets, needs, place())?;
    for _ in 0..10 {
        let calls = enquiry.next_round()?;
        if calls.is_empty() {
            return enquiry.finish();
        }
        for call in calls {
            let told = answers
                .iter()
                .find(|(operation, _)| *operation == call.operation);
            let (_, told) = told.unwrap_or_else(|| panic!("asked for {}", call.operation));
            let answer = match told.strip_prefix('!') {
                Some(code) => LookupAnswer::Error {
                    status: if code.starts_with("Internal") {
                        500
                    } else {
                        400
                    },
                    code: code.to_owned(),
                    message: "said AWS".to_owned(),
                },
                None => LookupAnswer::Pages(told.lines().map(object).collect()),
            };
            enquiry.absorb(&call, answer)?;
        }
    }
    panic!("it asks for ever");
}

fn thing(needs: Needs, answers: Answers<'_>) -> Result<Facts, EnquiryError> {
    learn(&[target("x:Thing", "t-1")], needs, answers).map(|facts| facts[0].clone())
}

const NO_TAGS: (&str, &str) = ("ListTags", r#"{"Tags":[]}"#);
const THING: (&str, &str) = (
    "GetThing",
    r#"{"Thing":{"Id":"t-1","Name":"one","Alias":"i-1","Billing":{"Mode":"MONTHLY"},"State":"UP"}}"#,
);

#[test]
fn what_aws_answers_is_known() {
    let facts = thing(
        everything(),
        &[("ListTags", r#"{"Tags":[{"Key":"a","Value":"b"}]}"#), THING],
    );
    let facts = facts.unwrap();
    assert_eq!(facts.tags, Some([("a".to_owned(), "b".to_owned())].into()));
    assert_eq!(facts.attributes[&Attribute::BillingMode], "MONTHLY");
    assert_eq!(facts.attributes[&Attribute::State], "UP");
    assert_eq!(
        facts.attributes[&Attribute::Arn],
        "arn:aws:x:eu-west-1:123456789012:thing/t-1"
    );
    assert_eq!(facts.aliases, ["one", "i-1"]);
    assert_eq!(facts.absent, [Attribute::CreatedAt].into());
}

#[test]
fn what_aws_answers_without_is_absent_and_said_to_be() {
    let facts = thing(
        everything(),
        &[NO_TAGS, ("GetThing", r#"{"Thing":{"Id":"t-1"}}"#)],
    )
    .unwrap();
    assert_eq!(facts.tags, Some([].into()));
    // What AWS means by saying nothing is known; what nothing is said of is absent.
    assert_eq!(facts.attributes[&Attribute::BillingMode], "HOURLY");
    assert_eq!(
        facts.absent,
        [Attribute::CreatedAt, Attribute::State].into()
    );
}

#[test]
fn only_what_is_needed_is_asked_for() {
    let asked = |needs: Needs| {
        let knowledge = knowledge();
        let service = service("x");
        let targets = [target("x:Thing", "t-1")];
        let mut enquiry = Enquiry::new(&knowledge, &service, &targets, needs, place()).unwrap();
        let calls = enquiry.next_round().unwrap();
        calls.into_iter().map(|c| c.operation).collect::<Vec<_>>()
    };
    assert!(asked(Needs::default()).is_empty());
    assert!(asked(attribute(Attribute::CreatedAt)).is_empty());
    assert!(asked(attribute(Attribute::Arn)).is_empty());
    assert_eq!(asked(attribute(Attribute::State)), ["GetThing"]);
    assert_eq!(asked(names()), ["GetThing"]);
    // Tags alone would not show whether the id is one: what confirms it is asked too.
    assert_eq!(asked(tags()), ["ListTags", "GetThing"]);
}

/// Every way in which an answer isn't one.
#[test]
fn what_is_no_answer_refuses() {
    let failed = |answers: Answers<'_>| match thing(everything(), answers) {
        Err(EnquiryError::Failed { message, .. }) => message,
        other => panic!("{answers:?} gave {other:?}"),
    };
    for (what, (operation, answer), expected) in [
        (
            "another id",
            ("GetThing", r#"{"Thing":{"Id":"t-2"}}"#),
            "asked for `t-1`, it answered about `t-2`",
        ),
        (
            "another case",
            ("GetThing", r#"{"Thing":{"Id":"T-1"}}"#),
            "answered about `T-1`",
        ),
        (
            "no id",
            ("GetThing", r#"{"Thing":{"State":"UP"}}"#),
            "the answer has no id",
        ),
        (
            "a number for an id",
            ("GetThing", r#"{"Thing":{"Id":1}}"#),
            "the answer has no id",
        ),
        ("nothing", ("GetThing", "{}"), "the answer is about nothing"),
        (
            "null",
            ("GetThing", r#"{"Thing":null}"#),
            "the answer is about nothing",
        ),
        (
            "a list",
            ("GetThing", r#"{"Thing":[]}"#),
            "the answer is about nothing",
        ),
        (
            "a number for a state",
            ("GetThing", r#"{"Thing":{"Id":"t-1","State":1}}"#),
            "`State` can't be read",
        ),
        (
            "a list for a mode",
            (
                "GetThing",
                r#"{"Thing":{"Id":"t-1","Billing":{"Mode":["x"]}}}"#,
            ),
            "`Billing.Mode` can't be read",
        ),
        (
            "text for tags",
            ("ListTags", r#"{"Tags":"none"}"#),
            "`Tags` can't be read",
        ),
        (
            "a flag for tags",
            ("ListTags", r#"{"Tags":false}"#),
            "`Tags` can't be read",
        ),
        (
            "a tag twice",
            (
                "ListTags",
                r#"{"Tags":[{"Key":"a","Value":"b"},{"Key":"a","Value":"b"}]}"#,
            ),
            "`Tags` can't be read",
        ),
        (
            "a tag without a key",
            ("ListTags", r#"{"Tags":[{"Value":"b"}]}"#),
            "`Tags` can't be read",
        ),
        (
            "a tag with a number",
            ("ListTags", r#"{"Tags":[{"Key":"a","Value":1}]}"#),
            "`Tags` can't be read",
        ),
        (
            "a tag that is text",
            ("ListTags", r#"{"Tags":["a"]}"#),
            "`Tags` can't be read",
        ),
        (
            "a map with a number",
            ("ListTags", r#"{"Tags":{"a":1}}"#),
            "`Tags` can't be read",
        ),
        (
            "throttling",
            ("ListTags", "!ThrottlingException"),
            "ThrottlingException: said AWS",
        ),
        (
            "a fault of AWS's",
            ("GetThing", "!InternalServerError"),
            "InternalServerError: said AWS",
        ),
    ] {
        let other = if operation == "GetThing" {
            NO_TAGS
        } else {
            THING
        };
        let found = failed(&[(operation, answer), other]);
        assert!(found.contains(expected), "{what}: {found}");
    }
}

#[test]
fn tags_are_pairs_or_a_map_and_none_is_none() {
    for (answer, expected) in [
        (r#"{"Tags":[{"Key":"a","Value":"b"}]}"#, &[("a", "b")][..]),
        (r#"{"Tags":[{"key":"a","value":"b"}]}"#, &[("a", "b")]),
        (r#"{"Tags":[{"TagKey":"a","TagValue":"b"}]}"#, &[("a", "b")]),
        (r#"{"Tags":[{"Key":"a"}]}"#, &[("a", "")]),
        (r#"{"Tags":{"a":"b","c":""}}"#, &[("a", "b"), ("c", "")]),
        (r#"{"Tags":[]}"#, &[]),
        (r#"{"Tags":{}}"#, &[]),
        (r#"{"Tags":null}"#, &[]),
        ("{}", &[]),
    ] {
        let facts = thing(tags(), &[("ListTags", answer), THING]).unwrap();
        let expected = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        assert_eq!(facts.tags.unwrap(), expected.collect(), "{answer}");
    }
}

#[test]
fn errors_of_aws_are_told_apart() {
    let error =
        |code: &str| thing(tags(), &[("ListTags", &format!("!{code}")), THING]).unwrap_err();
    assert_eq!(
        error("NoSuchThing"),
        EnquiryError::UnknownId {
            ids: vec!["t-1".to_owned()]
        }
    );
    assert!(matches!(
        error("AccessDeniedException"),
        EnquiryError::Denied { .. }
    ));
    assert!(matches!(
        error("ValidationException"),
        EnquiryError::Rejected { .. }
    ));
    assert!(matches!(
        error("ExpiredTokenException"),
        EnquiryError::Rejected { .. }
    ));
    assert!(matches!(
        error("TooManyRequestsException"),
        EnquiryError::Failed { .. }
    ));
}

fn rows(ids: &[&str], needs: Needs, answers: Answers<'_>) -> Result<Vec<Facts>, EnquiryError> {
    let targets: Vec<Target> = ids.iter().map(|id| target("x:Row", id)).collect();
    learn(&targets, needs, answers)
}

#[test]
fn of_a_list_only_the_very_id_counts_on_whatever_page() {
    let answer = r#"{"Rows":[{"Id":"r-11","Tags":{"n":"2"}},{"Id":"R-1","Tags":{"n":"3"}},{"Id":" r-1","Tags":{"n":"4"}}]}
{"Rows":[{"Tags":{"n":"5"}},{"Id":"r-1","Tags":{"n":"1"}}]}"#;
    let facts = rows(&["r-1"], tags(), &[("ListRows", answer)]).unwrap();
    assert_eq!(
        facts[0].tags,
        Some([("n".to_owned(), "1".to_owned())].into())
    );
}

#[test]
fn a_partial_list_names_whom_it_left_out() {
    let answer = r#"{"Rows":[{"Id":"r-1"},{"Id":"r-3"}]}"#;
    let unknown = rows(&["r-1", "r-2", "r-3"], tags(), &[("ListRows", answer)]).unwrap_err();
    assert_eq!(unknown.to_string(), "AWS doesn't know `r-2`");
    let none = rows(&["r-1"], tags(), &[("ListRows", "{}")]).unwrap_err();
    assert_eq!(none.to_string(), "AWS doesn't know `r-1`");
}

/// A lookup that confirms nothing still has to answer about the thing before its silence means anything.
#[test]
fn an_attribute_of_a_thing_that_was_not_answered_for_is_not_absent() {
    let unknown = rows(
        &["r-1"],
        attribute(Attribute::State),
        &[("ListRows", r#"{"Rows":[]}"#)],
    );
    assert_eq!(unknown.unwrap_err().to_string(), "AWS doesn't know `r-1`");
}

#[test]
fn two_answers_that_disagree_refuse() {
    for rows_told in [
        r#"{"Rows":[{"Id":"r-1","Tags":{"a":"1"}},{"Id":"r-1","Tags":{"a":"2"}}]}"#,
        r#"{"Rows":[{"Id":"r-1","Tags":{"a":"1"}},{"Id":"r-1"}]}"#,
        r#"{"Rows":[{"Id":"r-1","State":"UP"},{"Id":"r-1","State":"DOWN"}]}"#,
        r#"{"Rows":[{"Id":"r-1","State":"UP"},{"Id":"r-1"}]}"#,
        r#"{"Rows":[{"Id":"r-1"},{"Id":"r-1","State":"UP"}]}"#,
    ] {
        let error = rows(&["r-1"], everything_of_rows(), &[("ListRows", rows_told)]).unwrap_err();
        assert!(
            error.to_string().contains("two answers disagree"),
            "{rows_told}: {error}"
        );
    }
    let same = r#"{"Rows":[{"Id":"r-1","State":"UP"},{"Id":"r-1","State":"UP"}]}"#;
    assert!(rows(&["r-1"], everything_of_rows(), &[("ListRows", same)]).is_ok());
}

fn everything_of_rows() -> Needs {
    Needs {
        tags: Some("p".to_owned()),
        ..attribute(Attribute::State)
    }
}

#[test]
fn an_item_that_is_no_structure_refuses() {
    let error = rows(&["r-1"], tags(), &[("ListRows", r#"{"Rows":["r-1"]}"#)]).unwrap_err();
    assert!(matches!(error, EnquiryError::Failed { .. }), "{error}");
}

#[test]
fn a_time_is_read_in_any_spelling_and_nonsense_refuses() {
    let made = |made: &str| {
        let answer = format!(r#"{{"Rows":[{{"Id":"r-1","Made":{made}}}]}}"#);
        rows(
            &["r-1"],
            attribute(Attribute::CreatedAt),
            &[("ListRows", &answer)],
        )
    };
    for good in ["1767225600", "1767225600.0", r#""2026-01-01T00:00:00Z""#] {
        let facts = made(good).unwrap();
        assert_eq!(
            facts[0].attributes[&Attribute::CreatedAt],
            "2026-01-01T00:00:00.000Z"
        );
    }
    for bad in [r#""soon""#, "true", "1e99", "{}"] {
        assert!(
            matches!(made(bad), Err(EnquiryError::Failed { .. })),
            "{bad}"
        );
    }
}

/// The inputs of the calls that are made for some targets.
fn inputs(targets: &[Target], needs: Needs, place: Place) -> Vec<String> {
    let knowledge = knowledge();
    let service = service("x");
    let mut enquiry = Enquiry::new(&knowledge, &service, targets, needs, place).unwrap();
    let calls = enquiry.next_round().unwrap();
    calls
        .iter()
        .map(|c| c.input.to_json().to_string())
        .collect()
}

#[test]
fn a_batch_is_asked_for_in_as_few_calls_as_fit() {
    let targets: Vec<Target> = (1..=5)
        .map(|n| target("x:Row", &format!("r-{n}")))
        .collect();
    assert_eq!(
        inputs(&targets, tags(), place()),
        [
            r#"{"Ids":["r-1","r-2"]}"#,
            r#"{"Ids":["r-3","r-4"]}"#,
            r#"{"Ids":["r-5"]}"#
        ]
    );
}

#[test]
fn another_account_is_named_only_where_the_call_names_it() {
    let targets = [target("x:Row", "r-1")];
    assert_eq!(inputs(&targets, tags(), place()), [r#"{"Ids":["r-1"]}"#]);
    let named = Place {
        account: "210987654321".to_owned(),
        account_named: true,
        ..place()
    };
    assert_eq!(
        inputs(&targets, tags(), named),
        [r#"{"Ids":["r-1"],"AccountId":"210987654321"}"#]
    );
}

#[test]
fn an_id_is_put_into_a_template_as_it_is() {
    for odd in ["{arn}", "{id}", "a\"b", "*"] {
        let found = inputs(
            &[target("x:Thing", odd)],
            attribute(Attribute::State),
            place(),
        );
        assert_eq!(
            found,
            [serde_json::json!({ "Id": odd }).to_string()],
            "{odd}"
        );
    }
}

#[test]
fn parts_share_what_their_parent_is() {
    let part = |id: &str| Target {
        parents: vec![
            ParentId {
                id: "t-1".to_owned(),
                kind: "x:Thing".to_owned(),
            },
            ParentId {
                id: "c-1".to_owned(),
                kind: "x:Other".to_owned(),
            },
        ],
        ..target("x:Part", id)
    };
    let targets = [part("p-1"), part("p-2"), part("p-3")];
    assert_eq!(inputs(&targets, tags(), place()).len(), 2);
    let told = r#"{"Tags":{"protected":"true"}}"#;
    let facts = learn(&targets, tags(), &[("ListTags", told), THING]).unwrap();
    assert_eq!(facts.len(), 3);
    assert!(
        facts
            .iter()
            .all(|f| f.tags.as_ref().unwrap().contains_key("protected"))
    );
}

#[test]
fn what_can_not_be_looked_up_says_so_with_policy_and_reason() {
    let no_way = |kind: &str, needs: Needs| {
        learn(&[target(kind, "t-1")], needs, &[])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        no_way("x:Sealed", tags()),
        "policy `p` reads the tags of `x:Sealed`, which can't be looked up: there is no call for it"
    );
    assert_eq!(
        no_way("x:Unheard", tags()),
        "policy `p` reads the tags of `x:Unheard`, which can't be looked up"
    );
    for (wanted, name) in [
        (Attribute::RunningMode, "runningMode"),
        (Attribute::State, "state"),
    ] {
        let told = no_way("x:Unheard", attribute(wanted));
        assert_eq!(
            told,
            format!("policy `p` reads `{name}` of `x:Unheard`, which can't be looked up")
        );
    }
    assert!(no_way("x:Far", attribute(Attribute::State)).contains("`state` of `x:Far`"));
}

#[test]
fn a_type_without_tags_has_none_and_is_not_asked_for() {
    let facts = learn(&[target("x:Plain", "t-1")], tags(), &[]).unwrap();
    assert_eq!(facts[0].tags, Some([].into()));
}

#[test]
fn a_selector_has_no_facts_and_is_refused_where_one_is_needed() {
    let selector = |needs| learn(&[target(SELECTOR, "tags")], needs, &[]);
    for needs in [tags(), names(), attribute(Attribute::State)] {
        let refused = selector(needs).unwrap_err();
        assert!(matches!(refused, EnquiryError::NoWay { .. }));
        assert!(
            refused.to_string().ends_with("the call selects by `tags`"),
            "{refused}"
        );
    }
    assert!(selector(Needs::default()).is_ok());
}

#[test]
fn the_account_as_a_whole_has_neither_tags_nor_attributes() {
    let facts = learn(&[target(ACCOUNT, "123456789012")], everything(), &[]).unwrap();
    assert_eq!(facts[0].tags, Some([].into()));
    assert_eq!(facts[0].absent, Attribute::ALL.into());
}

fn by_name(kind: &str, name: &str) -> Target {
    Target {
        spelling: Spelling::Name(name.to_owned()),
        ..target(kind, "")
    }
}

#[test]
fn a_name_is_resolved_before_anything_else_is_asked() {
    let knowledge = knowledge();
    let service = service("x");
    let targets = [by_name("x:Thing", "one")];
    let mut enquiry = Enquiry::new(&knowledge, &service, &targets, tags(), place()).unwrap();
    let [resolving] = enquiry.next_round().unwrap().try_into().unwrap();
    assert_eq!(resolving.input.to_json().to_string(), r#"{"Name":"one"}"#);
    enquiry
        .absorb(&resolving, LookupAnswer::Pages(vec![object(THING.1)]))
        .unwrap();
    let [tags] = enquiry.next_round().unwrap().try_into().unwrap();
    assert_eq!(tags.input.to_json().to_string(), r#"{"Id":"t-1"}"#);
    enquiry
        .absorb(&tags, LookupAnswer::Pages(vec![object(NO_TAGS.1)]))
        .unwrap();
    assert!(enquiry.next_round().unwrap().is_empty());
    let facts = enquiry.finish().unwrap();
    assert_eq!(facts[0].id.as_deref(), Some("t-1"));
    assert_eq!(
        facts[0].attributes[&Attribute::Arn],
        "arn:aws:x:eu-west-1:123456789012:thing/t-1"
    );
}

#[test]
fn a_name_is_resolved_even_where_nothing_else_is_needed() {
    let facts = learn(&[by_name("x:Thing", "one")], Needs::default(), &[THING]).unwrap();
    assert_eq!(facts[0].id.as_deref(), Some("t-1"));
}

#[test]
fn a_name_that_is_not_the_answers_name_refuses() {
    let other = learn(&[by_name("x:Thing", "One")], tags(), &[THING, NO_TAGS]).unwrap_err();
    assert!(
        other
            .to_string()
            .contains("asked for `One`, it answered about `one`"),
        "{other}"
    );
}

#[test]
fn a_name_that_nothing_resolves_refuses() {
    for kind in ["x:Row", "x:Plain", "x:Unheard"] {
        let refused = learn(&[by_name(kind, "one")], Needs::default(), &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("`one` is a name of `{kind}`, which can't be resolved; give its id")
        );
    }
}

#[test]
fn a_name_and_an_id_that_are_spelt_alike_are_two_things() {
    let targets = [target("x:Thing", "t-1"), by_name("x:Thing", "t-1")];
    assert_eq!(
        inputs(&targets, attribute(Attribute::State), place()).len(),
        2
    );
}

#[test]
fn what_an_earlier_answer_lacks_refuses() {
    let far = |answer: &str| {
        let told = [("GetFar", answer), ("ListFarTags", r#"{"Tags":{}}"#)];
        learn(&[target("x:Far", "f-1")], tags(), &told)
    };
    let facts = far(r#"{"Id":"f-1","Arn":"arn:aws:x:::far/f-1"}"#).unwrap();
    assert_eq!(facts[0].attributes[&Attribute::Arn], "arn:aws:x:::far/f-1");
    let refused = far(r#"{"Id":"f-1"}"#).unwrap_err();
    assert!(
        refused.to_string().contains("an earlier answer lacked"),
        "{refused}"
    );
}

#[test]
fn an_arn_given_for_an_id_needs_no_lookup_of_the_arn() {
    let arn = "arn:aws:x:eu-west-1:123456789012:far/f-1";
    let found = inputs(&[target("x:Far", arn)], tags(), place());
    assert_eq!(found, [format!(r#"{{"Arn":"{arn}"}}"#)]);
}

#[test]
fn a_service_without_a_file_has_no_way() {
    let knowledge = knowledge();
    let service = service("y");
    let targets = [target("y:Thing", "t-1")];
    let refused = Enquiry::new(&knowledge, &service, &targets, tags(), place());
    assert!(matches!(refused, Err(EnquiryError::NoWay { .. })));
    let mut nothing =
        Enquiry::new(&knowledge, &service, &targets, Needs::default(), place()).unwrap();
    assert!(nothing.next_round().unwrap().is_empty());
}

/// Tags are read anew for each call; only what tells none may be kept.
#[test]
fn an_answer_that_tells_tags_is_never_kept() {
    let knowledge = Knowledge::embedded().unwrap();
    for rules in knowledge.services() {
        let service = service(&rules.service);
        for (kind, rule) in &rules.types {
            if rule.facts_of_parent || rule.untagged || rule.tags_unreadable.is_some() {
                continue;
            }
            let targets = [Target {
                parents: vec![ParentId {
                    id: "p-1".to_owned(),
                    kind: "x:Parent".to_owned(),
                }],
                ..target(kind, "arn:aws:x:eu-west-1:123456789012:x/x-1")
            }];
            let mut plan = Enquiry::new(&knowledge, &service, &targets, tags(), place())
                .unwrap_or_else(|e| panic!("{kind}: {e}"));
            for call in plan.next_round().unwrap() {
                let tells = rules.lookups[&call.lookup].tells_tags();
                assert_eq!(call.cacheable, !tells, "{kind}: {}", call.operation);
            }
        }
    }
}

/// Ways in which AWS spells and answers that the first services don't have.
const MORE: &str = r#"
service = "x"
[types."x:Zone"]
lookups = ["zone"]
[types."x:Db"]
lookups = ["db"]
[types."x:Bucket"]
lookups = ["bucket"]
[types."x:Batch"]
lookups = ["batch"]
[types."x:Any"]
lookups = ["any"]
[types."x:Inner"]
lookups = ["inner"]
[types."x:Secret"]
lookups = ["secret"]
send_id = true
[lookups.zone]
operation = "GetZone"
inputs = [{ Id = "{id}" }]
id = "Id"
id_prefix = "/zone/"
tags = "Tags"
[lookups.db]
operation = "DescribeDbs"
inputs = [{ Db = "{id}" }]
items = "Dbs[]"
id = "Db"
fold_case = true
tags = "Tags"
attributes = { deletionProtection = "Protected", resourceCount = "Size" }
[lookups.bucket]
operation = "GetTagging"
inputs = [{ Bucket = "{id}" }]
tags = "TagSet"
none = ["NoSuchTagSet"]
unknown_id = ["NoSuchBucket"]
[lookups.batch]
operation = "DescribeBatch"
batch = 10
inputs = [{ Ids = ["{id}"] }]
items = "Items[]"
id = "Id"
tags = "Tags"
unknown_id = ["NotFound"]
[lookups.any]
operation = "DescribeTags"
batch = 10
inputs = [{ Ids = ["{id}"] }]
items = "Tags[]"
id = "ResourceId"
each_is_a_tag = true
[lookups.inner]
operation = "DescribeInner"
batch = 10
inputs = [{ Outer = "{parent}", Ids = ["{id}"] }]
items = "Items[]"
id = "Id"
tags = "Tags"
[lookups.secret]
service = "elsewhere"
operation = "DescribeSecret"
inputs = [{ SecretId = "{id}" }]
id = "ARN"
arn = "ARN"
spellings = ["Name"]
partial_arn = true
tags = "Tags"
"#;

/// As [`learn`], by the rules of [`MORE`]; each answer to the call with that text in its input.
fn more(
    targets: &[Target],
    needs: Needs,
    answers: Answers<'_>,
) -> Result<(Vec<Facts>, Vec<String>), EnquiryError> {
    let file = ("x.toml".to_owned(), MORE.to_owned());
    let knowledge = Knowledge::default().overlay(&[file]).unwrap();
    let service = service("x");
    let mut enquiry = Enquiry::new(&knowledge, &service, targets, needs, place())?;
    let mut asked = Vec::new();
    for _ in 0..10 {
        let calls = enquiry.next_round()?;
        if calls.is_empty() {
            return enquiry.finish().map(|facts| (facts, asked));
        }
        for call in calls {
            let input = call.input.to_json().to_string();
            let told = answers.iter().find(|(part, _)| input.contains(part));
            let (_, told) = told.unwrap_or_else(|| panic!("asked {input}"));
            asked.push(format!("{} {input}", call.service));
            let answer = match told.strip_prefix('!') {
                Some(code) => LookupAnswer::Error {
                    status: 400,
                    code: code.to_owned(),
                    message: "said AWS".to_owned(),
                },
                None => LookupAnswer::Pages(told.lines().map(object).collect()),
            };
            enquiry.absorb(&call, answer)?;
        }
    }
    panic!("it asks for ever");
}

fn of_more(kind: &str, id: &str, told: &str) -> Result<Facts, EnquiryError> {
    let (facts, _) = more(&[target(kind, id)], tags(), &[("", told)])?;
    Ok(facts[0].clone())
}

#[test]
fn an_id_is_the_same_with_and_without_what_aws_puts_before_it() {
    let zone = |asked: &str, answered: &str| {
        of_more("x:Zone", asked, &format!(r#"{{"Id":"{answered}"}}"#))
    };
    for (asked, answered) in [
        ("Z1", "/zone/Z1"),
        ("/zone/Z1", "/zone/Z1"),
        ("/zone/Z1", "Z1"),
    ] {
        assert_eq!(
            zone(asked, answered).unwrap().id.as_deref(),
            Some("Z1"),
            "{asked}"
        );
    }
    assert!(zone("Z1", "/zone/Z11").is_err());
    assert!(zone("Z1", "/zone/z1").is_err());
    assert_eq!(zone("/zone/Z1", "Z1").unwrap().aliases, ["/zone/Z1"]);
}

#[test]
fn small_and_capital_letters_are_the_same_only_where_aws_takes_them_so() {
    let facts = of_more("x:Db", "Orders", r#"{"Dbs":[{"Db":"orders"}]}"#).unwrap();
    assert_eq!(facts.id.as_deref(), Some("orders"));
    assert_eq!(facts.aliases, ["Orders"]);
    assert!(!facts.send_id);
    let other = of_more("x:Db", "Orders", r#"{"Dbs":[{"Db":"order"}]}"#).unwrap_err();
    assert_eq!(other.to_string(), "AWS doesn't know `Orders`");
}

#[test]
fn what_says_that_there_are_no_tags_is_not_a_failure_and_what_says_another_thing_is() {
    let none = of_more("x:Bucket", "b", "!NoSuchTagSet").unwrap();
    assert_eq!(none.tags, Some([].into()));
    let unknown = of_more("x:Bucket", "b", "!NoSuchBucket").unwrap_err();
    assert_eq!(unknown.to_string(), "AWS doesn't know `b`");
    assert!(matches!(
        of_more("x:Bucket", "b", "!AccessDenied"),
        Err(EnquiryError::Denied { .. })
    ));
    assert!(matches!(
        of_more("x:Bucket", "b", "!NoSuchTagSetError"),
        Err(EnquiryError::Rejected { .. })
    ));
}

#[test]
fn tags_of_all_pages_count() {
    let pages = "{\"TagSet\":[{\"Key\":\"a\",\"Value\":\"1\"}]}\n{\"TagSet\":[{\"Key\":\"b\",\"Value\":\"2\"}]}";
    let facts = of_more("x:Bucket", "b", pages).unwrap();
    assert_eq!(facts.tags.unwrap().len(), 2);
    let twice = "{\"TagSet\":[{\"Key\":\"a\",\"Value\":\"1\"}]}\n{\"TagSet\":[{\"Key\":\"a\",\"Value\":\"2\"}]}";
    assert!(of_more("x:Bucket", "b", twice).is_err());
}

#[test]
fn a_batch_that_one_unknown_id_fails_is_asked_for_singly() {
    let targets = [target("x:Batch", "a-1"), target("x:Batch", "a-2")];
    let both = r#""a-1","a-2""#;
    let one = |id: &str| format!(r#"{{"Items":[{{"Id":"{id}","Tags":[]}}]}}"#);
    let (first, second) = (one("a-1"), one("a-2"));
    let known = [
        (both, "!NotFound"),
        ("a-1", first.as_str()),
        ("a-2", second.as_str()),
    ];
    let (facts, asked) = more(&targets, tags(), &known).unwrap();
    assert_eq!((facts.len(), asked.len()), (2, 3));
    let unknown = [
        (both, "!NotFound"),
        ("a-1", first.as_str()),
        ("a-2", "!NotFound"),
    ];
    let refused = more(&targets, tags(), &unknown).unwrap_err();
    assert_eq!(refused.to_string(), "AWS doesn't know `a-2`");
}

#[test]
fn items_that_are_tags_go_to_whose_id_they_have() {
    let targets = [target("x:Any", "a-1"), target("x:Any", "a-2")];
    let told = r#"{"Tags":[{"ResourceId":"a-1","Key":"k","Value":"v"},{"ResourceId":"a-3","Key":"k","Value":"w"}]}"#;
    let (facts, _) = more(&targets, tags(), &[("", told)]).unwrap();
    assert_eq!(
        facts[0].tags,
        Some([("k".to_owned(), "v".to_owned())].into())
    );
    assert_eq!(facts[1].tags, Some([].into()));
    for bad in [
        r#"{"Tags":[{"Key":"k","Value":"v"}]}"#,
        r#"{"Tags":[{"ResourceId":"a-1"}]}"#,
        r#"{"Tags":[{"ResourceId":"a-1","Key":"k","Value":"v"},{"ResourceId":"a-1","Key":"k","Value":"w"}]}"#,
    ] {
        assert!(more(&targets, tags(), &[("", bad)]).is_err(), "{bad}");
    }
}

#[test]
fn what_stands_in_different_parents_is_asked_for_apart() {
    let inner = |outer: &str| Target {
        parents: vec![ParentId {
            id: outer.to_owned(),
            kind: "x:Outer".to_owned(),
        }],
        ..target("x:Inner", "i")
    };
    let tagged = r#"{"Items":[{"Id":"i","Tags":{"protected":"true"}}]}"#;
    let plain = r#"{"Items":[{"Id":"i","Tags":{}}]}"#;
    let answers = [("\"a\"", tagged), ("\"b\"", plain)];
    let (facts, asked) = more(&[inner("a"), inner("b")], tags(), &answers).unwrap();
    assert_eq!(asked.len(), 2);
    let count = |facts: &Facts| facts.tags.as_ref().unwrap().len();
    assert_eq!((count(&facts[0]), count(&facts[1])), (1, 0));
    // Without its parent it can't be asked for.
    assert!(matches!(
        more(&[target("x:Inner", "i")], tags(), &[]),
        Err(EnquiryError::NoWay { .. })
    ));
}

#[test]
fn an_id_that_was_told_is_sent_for_another_spelling_and_another_service_may_tell_it() {
    let arn = "arn:aws:x:eu-west-1:123456789012:secret:db-AbCdEf";
    let told = format!(r#"{{"ARN":"{arn}","Name":"db"}}"#);
    for spelt in ["db", arn, "arn:aws:x:eu-west-1:123456789012:secret:db"] {
        let (facts, asked) = more(&[target("x:Secret", spelt)], tags(), &[("", &told)]).unwrap();
        assert_eq!(facts[0].id.as_deref(), Some(arn), "{spelt}");
        assert!(facts[0].send_id);
        assert!(asked[0].starts_with("elsewhere "));
    }
    for other in ["d", "DB", "arn:aws:x:eu-west-1:123456789012:secret:d"] {
        let refused = more(&[target("x:Secret", other)], tags(), &[("", &told)]);
        assert!(refused.is_err(), "{other}");
    }
}

#[test]
fn a_flag_is_a_flag_and_a_count_a_whole_number() {
    let needs = || Needs {
        attributes: [
            (Attribute::DeletionProtection, "p".to_owned()),
            (Attribute::ResourceCount, "p".to_owned()),
        ]
        .into(),
        ..Needs::default()
    };
    let db = |flag: &str, count: &str| {
        let told = format!(r#"{{"Dbs":[{{"Db":"d","Protected":{flag},"Size":{count}}}]}}"#);
        more(&[target("x:Db", "d")], needs(), &[("", &told)])
    };
    for flag in ["true", r#""true""#] {
        let (facts, _) = db(flag, "3").unwrap();
        assert_eq!(facts[0].attributes[&Attribute::DeletionProtection], "true");
        assert_eq!(facts[0].attributes[&Attribute::ResourceCount], "3");
    }
    for (flag, count) in [
        (r#""yes""#, "3"),
        ("1", "3"),
        ("true", "1.5"),
        ("true", r#""3""#),
        ("[]", "3"),
    ] {
        assert!(db(flag, count).is_err(), "{flag} {count}");
    }
}

/// What the catalog derived from the model, for types that no service file speaks of.
fn derived_service() -> Service {
    serde_json::from_value(serde_json::json!({
        "id": "y", "full_name": "y", "signing_name": "y", "signature": "v4", "protocols": ["json"],
        "api_version": "2026-01-01", "operations": {}, "shapes": [],
        "reads": {
            "ListTags": { "operation": "ListTags", "input": { "Arn": "{arn}" }, "tags": "Tags" },
            "GetThing:y:Thing": {
                "operation": "GetThing", "input": { "Id": "{id}", "Of": "{parent0}" },
                "arn": "Thing.Arn", "unknown": ["NotFound"],
            },
        },
        "types": {
            "*": { "reads": ["ListTags"] },
            "y:Thing": { "reads": ["ListTags", "GetThing:y:Thing"] },
            "y:Made": { "reads": ["ListTags"] },
        },
        "names": { "y:Made": { "arn": "arn:{partition}:y:::made/{id}" } },
    }))
    .unwrap()
}

fn derived_calls(target: Target) -> Result<Vec<String>, EnquiryError> {
    let knowledge = Knowledge::default();
    let service = derived_service();
    let mut enquiry = Enquiry::new(&knowledge, &service, &[target], tags(), place())?;
    let calls = enquiry.next_round()?;
    let calls = calls.iter();
    Ok(calls
        .map(|c| format!("{} {}", c.operation, c.input.to_json()))
        .collect())
}

#[test]
fn what_no_file_speaks_of_is_asked_for_as_the_catalog_derives() {
    let arn = "arn:aws:y:::x/1";
    assert_eq!(
        derived_calls(target("y:Unheard", arn)).unwrap(),
        [format!(r#"ListTags {{"Arn":"{arn}"}}"#)]
    );
    let inside = Target {
        parents: vec![ParentId {
            id: "p-1".to_owned(),
            kind: "y:Outer".to_owned(),
        }],
        ..target("y:Thing", "t-1")
    };
    // The ARN first.
    assert_eq!(
        derived_calls(inside).unwrap(),
        [r#"GetThing {"Id":"t-1","Of":"p-1"}"#]
    );
}

#[test]
fn an_arn_that_was_made_up_is_not_asked_for_where_aws_would_stay_silent_about_it() {
    for target in [target("y:Made", "m-1"), target("y:Unheard", "u-1")] {
        let refused = derived_calls(target).unwrap_err().to_string();
        assert!(refused.contains("which can't be looked up"), "{refused}");
    }
    assert!(derived_calls(target("y:Made", "arn:aws:y:::made/m-1")).is_ok());
}

/// A part of what the caller wrote may have come to mean another thing.
#[test]
fn what_was_written_whole_is_looked_up_and_sent_whole() {
    let arn = "arn:aws:x:eu-west-1:123456789012:secret:db-AbCdEf";
    let written = || Target {
        also: vec![arn.to_owned()],
        ..target("x:Secret", "db")
    };
    let told = |id: &str| format!(r#"{{"ARN":"{id}","Name":"db"}}"#);
    let (facts, asked) = more(&[written()], tags(), &[("", &told(arn))]).unwrap();
    assert_eq!(asked, [format!(r#"elsewhere {{"SecretId":"{arn}"}}"#)]);
    assert_eq!(facts[0].id.as_deref(), Some(arn));
    let other = "arn:aws:x:eu-west-1:123456789012:secret:db-GhIjKl";
    assert!(more(&[written()], tags(), &[("", &told(other))]).is_err());
}

fn going() -> Needs {
    Needs {
        tag_keys: Some("p".to_owned()),
        ..Needs::default()
    }
}

fn within(kind: &str) -> Target {
    let parent = ParentId {
        id: "t-1".to_owned(),
        kind: "x:Thing".to_owned(),
    };
    let id = Spelling::Id("l-1".to_owned());
    Target::new(id, kind, vec![parent])
}

#[test]
fn the_tags_that_go_are_those_that_are_there() {
    let needs = tags();
    let tags = ("ListTags", r#"{"Tags":[{"Key":"a","Value":"b"}]}"#);
    let facts = thing(going(), &[tags, THING]).unwrap();
    assert_eq!(facts.tag_keys, Some(["a".to_owned()].into()));
    // Nobody asked.
    assert_eq!(thing(needs, &[tags, THING]).unwrap().tag_keys, None);
}

#[test]
fn the_tags_that_go_are_the_things_own_and_its_facts_are_its_parents() {
    let needs = Needs {
        tags: Some("p".to_owned()),
        ..going()
    };
    let answers = [
        ("ListTags", r#"{"Tags":[{"Key":"a","Value":"b"}]}"#),
        ("ListLeafTags", r#"{"Tags":[{"Key":"c","Value":"d"}]}"#),
        THING,
    ];
    let leaf = || within("x:Leaf");
    let facts = learn(&[leaf()], needs, &answers).unwrap();
    assert_eq!(facts[0].tag_keys, Some(["c".to_owned()].into()));
    let of_parent = [("a".to_owned(), "b".to_owned())];
    assert_eq!(facts[0].tags, Some(of_parent.into()));
    // The parent isn't asked where nobody reads its tags.
    let facts = learn(&[leaf()], going(), &answers[1..2]).unwrap();
    assert_eq!(facts[0].tag_keys, Some(["c".to_owned()].into()));
    assert_eq!(facts[0].tags, None);
}

#[test]
fn what_nobody_can_tell_of_the_tags_that_go_refuses() {
    for target in [
        within("x:Part"),
        target("x:Sealed", "s-1"),
        target(ACCOUNT, "123456789012"),
        target(SELECTOR, "Filters"),
    ] {
        let refused = learn(std::slice::from_ref(&target), going(), &[]);
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, EnquiryError::NoWay { .. }),
            "{target:?}: {refused}"
        );
    }
}
