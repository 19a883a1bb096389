//! What is given, what is refused, and what the answer says.

use std::sync::Arc;

use super::*;
use crate::aws::catalog::model::Protocol;
use crate::aws::class::Class;
use crate::aws::protocol::json::parse;
use crate::guard::call::{Action, DecisionId, Validity};
use crate::guard::keyring::{MasterKey, begin};
use crate::guard::refusal::Refusal;

const ROLE: &str = "arn:aws:iam::210987654321:role/teams/deploy";

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn caller() -> Caller {
    Caller {
        name: "ci".to_owned(),
        groups: Vec::new(),
        credentials: "prod".to_owned(),
        access_key_id: "PALISADELASTING".to_owned(),
        role: None,
        session: None,
    }
}

/// The caller in a session that ends so many seconds later.
fn in_session(ends: u64) -> Caller {
    Caller {
        access_key_id: "PALISADESESSION".to_owned(),
        role: Some(AssumedRole {
            arn: ROLE.to_owned(),
            account: "210987654321".to_owned(),
            session_name: "first".to_owned(),
            external_id: None,
        }),
        session: Some(Validity {
            parent: Some("PALISADELASTING".to_owned()),
            credentials: Some("dev".to_owned()),
            begun: at(0),
            expires: at(ends),
        }),
        ..caller()
    }
}

fn call(caller: Caller, input: &str) -> Call {
    Call {
        id: DecisionId(uuid::Uuid::nil()),
        action: Action {
            service: "sts".to_owned(),
            operation: "AssumeRole".to_owned(),
        },
        class: Class::Credentials,
        group: None,
        parsed: true,
        body_beside: false,
        guarded: true,
        protocol: Protocol::AwsQuery,
        partition: "aws".to_owned(),
        region: "us-east-1".to_owned(),
        account: "123456789012".to_owned(),
        caller: Arc::new(caller),
        source_ip: "127.0.0.1".parse().unwrap(),
        user_agent: None,
        input: parse(input.as_bytes())
            .unwrap()
            .as_object()
            .unwrap()
            .clone(),
    }
}

/// The parameters with these added, as JSON.
fn input(more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    format!(r#"{{"RoleArn":"{ROLE}","RoleSessionName":"tf"{comma}{more}}}"#)
}

fn asked(caller: Caller, input: &str) -> Result<Assumption, AssumeError> {
    Assumption::of(&call(caller, input), &[ROLE.to_owned()])
}

#[test]
fn a_session_is_begun_as_it_was_asked_for() {
    let more = r#""DurationSeconds":900,"ExternalId":"e/1","SourceIdentity":"ci","Tags":[]"#;
    let asked = asked(caller(), &input(more)).unwrap();
    let session = asked.session(&caller(), at(0) + Duration::from_millis(999));
    let expected = Session {
        caller: "ci".to_owned(),
        parent: Some("PALISADELASTING".to_owned()),
        credentials: None,
        role: Some(AssumedRole {
            arn: ROLE.to_owned(),
            account: "210987654321".to_owned(),
            session_name: "tf".to_owned(),
            external_id: Some("e/1".to_owned()),
        }),
        begun: at(0),
        expires: at(900),
    };
    assert_eq!(session, expected);
}

#[test]
fn a_session_lasts_an_hour_unless_asked_otherwise_and_twelve_at_most() {
    let lasts = |more: &str| -> Result<SystemTime, AssumeError> {
        let asked = asked(caller(), &input(more))?;
        Ok(asked.session(&caller(), at(0)).expires)
    };
    assert_eq!(lasts(""), Ok(at(3600)));
    for seconds in [900, 43200] {
        let more = format!("\"DurationSeconds\":{seconds}");
        assert_eq!(lasts(&more), Ok(at(seconds)));
    }
    for seconds in [
        "899",
        "43201",
        "0",
        "-900",
        "1e9",
        "99999999999999999999",
        "\"900\"",
    ] {
        let error = lasts(&format!("\"DurationSeconds\":{seconds}")).unwrap_err();
        let problem = "must be 900 to 43200".to_owned();
        let parameter = "DurationSeconds";
        assert_eq!(
            error,
            AssumeError::Invalid { parameter, problem },
            "{seconds}"
        );
    }
}

#[test]
fn a_session_begun_by_a_session_ends_with_it_and_keeps_what_it_depends_on() {
    let asked_for = asked(in_session(100), &input("")).unwrap();
    let session = asked_for.session(&in_session(100), at(10));
    assert_eq!(session.expires, at(100));
    assert_eq!(session.parent.as_deref(), Some("PALISADELASTING"));
    assert_eq!(session.credentials.as_deref(), Some("dev"));
    let session = asked_for.session(&in_session(40_000), at(10));
    assert_eq!(session.expires, at(3610));
    let longer = asked(in_session(40_000), &input(r#""DurationSeconds":3601"#)).unwrap_err();
    assert_eq!(
        longer.to_string(),
        "`DurationSeconds` must not be more than 3600 where a role is assumed with the keys of another"
    );
    assert!(asked(in_session(40_000), &input(r#""DurationSeconds":3600"#)).is_ok());
}

#[test]
fn what_the_guard_cannot_honour_is_refused_by_its_name() {
    for (parameter, value) in [
        ("Policy", r#""{}""#),
        (
            "PolicyArns",
            r#"[{"arn":"arn:aws:iam::aws:policy/ReadOnlyAccess"}]"#,
        ),
        ("Tags", r#"[{"Key":"a","Value":"b"}]"#),
        ("TransitiveTagKeys", r#"["a"]"#),
        ("SerialNumber", r#""123456789""#),
        ("TokenCode", r#""123456""#),
        ("ProvidedContexts", r#"[{"ProviderArn":"x"}]"#),
        ("NovelParameter", r#""x""#),
    ] {
        let error = asked(caller(), &input(&format!("\"{parameter}\":{value}"))).unwrap_err();
        let expected = AssumeError::NotTaken {
            parameter: parameter.to_owned(),
        };
        assert_eq!(error, expected);
        assert_eq!(Refusal::from(error).reason(), "not_understood");
    }
    let other = asked(caller(), &input(r#""SourceIdentity":"root""#)).unwrap_err();
    assert_eq!(
        other.to_string(),
        "`SourceIdentity` is always the caller, `ci`: leave it out"
    );
}

#[test]
fn only_a_role_that_is_listed_letter_for_letter_is_given() {
    for role in [
        "arn:aws:iam::210987654321:role/teams/deploy2",
        "arn:aws:iam::210987654321:role/deploy",
        "arn:aws:iam::210987654321:role/teams/Deploy",
        "arn:aws:iam::123456789012:role/teams/deploy",
        "",
    ] {
        // Who may not have it isn't told what else would be wrong.
        let input = format!(r#"{{"Policy":"{{}}","RoleSessionName":"?","RoleArn":"{role}"}}"#);
        let error = asked(caller(), &input).unwrap_err();
        let (caller, role) = ("ci".to_owned(), role.to_owned());
        assert_eq!(error, AssumeError::NotListed { caller, role });
        assert_eq!(Refusal::from(error).reason(), "not_assumable");
    }
}

#[test]
fn what_is_missing_or_not_as_aws_has_it_is_malformed() {
    let check = |input: &str, expected: &str| {
        let error = asked(caller(), input).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(Refusal::from(error).reason(), "malformed");
    };
    check(r#"{"RoleSessionName":"tf"}"#, "`RoleArn` is missing");
    check(
        &format!(r#"{{"RoleArn":"{ROLE}"}}"#),
        "`RoleSessionName` is missing",
    );
    let long = "n".repeat(65);
    for name in ["", "a", "a b", "a/b", "\u{e4}\u{e4}", &long] {
        check(
            &format!(r#"{{"RoleArn":"{ROLE}","RoleSessionName":"{name}"}}"#),
            "`RoleSessionName` must hold 2 to 64 letters, digits and `_+=,.@-`",
        );
    }
    let long = "n".repeat(1225);
    for id in ["", "a", "a b", &long] {
        check(
            &input(&format!("\"ExternalId\":\"{id}\"")),
            "`ExternalId` must hold 2 to 1224 letters, digits and `_+=,.@:/-`",
        );
    }
}

#[test]
fn the_answer_is_that_of_sts() {
    let asked = asked(caller(), &input("")).unwrap();
    let session = asked.session(&caller(), at(0));
    let key = begin(&MasterKey::new([1; 32]), &session, [7; 12]).unwrap();
    let expected = serde_json::json!({
        "AssumedRoleUser": {
            "AssumedRoleId": "AROAPALISADEMJXL4JZ4Z:tf",
            "Arn": "arn:aws:sts::210987654321:assumed-role/deploy/tf",
        },
        "Credentials": {
            "AccessKeyId": key.access_key_id,
            "SecretAccessKey": key.secret_access_key.expose(),
            "SessionToken": key.session_token,
            "Expiration": "2027-01-15T09:00:00Z",
        },
        "SourceIdentity": "ci",
    });
    assert_eq!(asked.answer(&session, &key).to_json(), expected);
}
