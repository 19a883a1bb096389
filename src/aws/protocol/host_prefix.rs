//! What stands in the host must be what the operation puts there, with the input's own values.
//!
//! The service's plain host is taken for every operation: SDKs can be told to leave host prefixes out, and members that stand in one stand
//! in the request too. A prefix that is another operation's, or holds another value than the input, is refused.

use super::malformed::{EncodeError, Malformed};
use super::path::shown;
use crate::aws::catalog::model::Operation;
use crate::aws::endpoint::{Addressed, Endpoint};
use crate::aws::host::Host;
use crate::aws::value::{Object, Value};

/// Holds the host against the operation, by what is fixed in its prefix.
///
/// # Errors
/// [`Malformed::HostPrefix`].
pub(super) fn fits(operation: &Operation, addressed: &Addressed) -> Result<(), Malformed> {
    let Addressed::Prefix(found) = addressed else {
        return Ok(());
    };
    let template = operation.host_prefix.as_deref();
    if template.is_some_and(|t| value_in(t, found).is_some()) {
        return Ok(());
    }
    Err(Malformed::HostPrefix {
        found: shown(found),
        operation: operation.name.clone(),
        expected: template.map_or_else(|| "nothing".to_owned(), |t| format!("`{t}`")),
    })
}

/// Holds the host against the operation's input, whose member may stand in its prefix.
///
/// # Errors
/// [`Malformed::HostPrefix`], [`Malformed::HostLabel`].
pub(super) fn holds(
    operation: &Operation,
    addressed: &Addressed,
    input: &Object,
) -> Result<(), Malformed> {
    fits(operation, addressed)?;
    let (Addressed::Prefix(found), Some(template)) = (addressed, operation.host_prefix.as_deref())
    else {
        return Ok(());
    };
    let Some((_, member, _)) = label(template) else {
        return Ok(());
    };
    let in_host = value_in(template, found).unwrap_or_default();
    match input.get(member) {
        // Hosts have no case.
        Some(Value::String(given)) if given.eq_ignore_ascii_case(in_host) => Ok(()),
        Some(Value::String(given)) => Err(Malformed::HostLabel {
            expected: shown(given),
            found: shown(in_host),
        }),
        Some(_) | None => Err(Malformed::HostLabel {
            expected: format!("no `{member}`"),
            found: shown(in_host),
        }),
    }
}

/// The endpoint that an operation with this input is called at: the one given, with the operation's own prefix in the place
/// of whatever it has.
///
/// # Errors
/// [`EncodeError::NotExpressible`] where a member's value can't stand in a host.
pub fn at(
    endpoint: &Endpoint,
    operation: &Operation,
    input: &Object,
) -> Result<Endpoint, EncodeError> {
    let own = match &endpoint.addressed {
        Addressed::Bucket(_) => return Ok(endpoint.clone()),
        Addressed::Prefix(own) => own.as_str(),
        Addressed::Service => "",
    };
    let prefix = match operation.host_prefix.as_deref() {
        Some(template) => filled(template, input)?,
        None => String::new(),
    };
    if prefix == own {
        return Ok(endpoint.clone());
    }
    let host = endpoint.host.as_str();
    let base = host.strip_prefix(own).unwrap_or(host);
    Ok(Endpoint {
        host: Host::parse(&format!("{prefix}{base}")).map_err(|_| in_host(&prefix))?,
        addressed: if prefix.is_empty() {
            Addressed::Service
        } else {
            Addressed::Prefix(prefix)
        },
        ..endpoint.clone()
    })
}

fn filled(template: &str, input: &Object) -> Result<String, EncodeError> {
    let Some((before, member, after)) = label(template) else {
        return Ok(template.to_owned());
    };
    match input.get(member) {
        Some(Value::String(value)) if is_label(value) => {
            Ok(format!("{before}{}{after}", value.to_ascii_lowercase()))
        }
        Some(_) | None => Err(in_host(member)),
    }
}

fn in_host(member: &str) -> EncodeError {
    EncodeError::NotExpressible {
        member: member.to_owned(),
        place: "the host",
    }
}

/// A template's label with what stands around it: `{AccountId}.` has one; no operation has several.
fn label(template: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = template.split_once('{')?;
    let (member, after) = rest.split_once('}')?;
    Some((before, member, after))
}

/// What stands in the place of a template's label, blank where it has none; `None` where the text isn't the template's.
fn value_in<'t>(template: &str, text: &'t str) -> Option<&'t str> {
    let Some((before, _, after)) = label(template) else {
        return template.eq_ignore_ascii_case(text).then_some("");
    };
    let value = text.strip_prefix(before)?.strip_suffix(after)?;
    is_label(value).then_some(value)
}

fn is_label(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(prefix: Option<&str>) -> Operation {
        let operation = serde_json::json!({
            "name": "GetThing", "class": "read", "method": "GET", "uri": "/", "host_prefix": prefix,
        });
        serde_json::from_value(operation).unwrap()
    }

    fn input(members: &[(&str, &str)]) -> Object {
        let members = members.iter();
        let members = members.map(|(n, v)| ((*n).to_owned(), Value::String((*v).to_owned())));
        Object::from_members(members.collect()).unwrap()
    }

    fn check(prefix: Option<&str>, host: &str, members: &[(&str, &str)], expected: bool) {
        let addressed = match host {
            "" => Addressed::Service,
            text => Addressed::Prefix(text.to_owned()),
        };
        let held = holds(&operation(prefix), &addressed, &input(members));
        assert_eq!(held.is_ok(), expected, "{prefix:?} {host} {members:?}");
    }

    #[test]
    fn a_prefix_is_the_operations_and_holds_the_inputs_value() {
        check(Some("data-"), "data-", &[], true);
        check(Some("data-"), "api-", &[], false);
        check(None, "data-", &[], false);
        check(
            Some("{AccountId}."),
            "123456789012.",
            &[("AccountId", "123456789012")],
            true,
        );
        check(
            Some("{AccountId}."),
            "123456789012.",
            &[("AccountId", "210987654321")],
            false,
        );
        check(Some("{AccountId}."), "123456789012.", &[], false);
        check(
            Some("{AccountId}."),
            "a.123456789012.",
            &[("AccountId", "123456789012")],
            false,
        );
        check(
            Some("{AccountId}."),
            "123456789012",
            &[("AccountId", "123456789012")],
            false,
        );
        check(
            Some("{graphIdentifier}."),
            "g-abc.",
            &[("graphIdentifier", "G-ABC")],
            true,
        );
    }

    #[test]
    fn the_plain_host_takes_every_operation() {
        check(Some("data-"), "", &[], true);
        check(
            Some("{AccountId}."),
            "",
            &[("AccountId", "123456789012")],
            true,
        );
        check(None, "", &[], true);
    }
}
