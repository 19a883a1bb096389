//! What stands in a request's host, held against the members of its input that belong there.

use crate::aws::catalog::model::{Operation, Structure};
use crate::aws::endpoint::Addressed;
use crate::aws::value::{Object, Value};

use super::malformed::Malformed;
use super::path::shown;

/// Holds the text before the endpoint's name against the operation's host prefix (`{AccountId}.`). A host without such a
/// text is taken: SDKs can be told not to write it.
///
/// # Errors
/// [`Malformed::HostLabel`] where they differ.
pub(super) fn agrees(
    operation: &Operation,
    shape: Option<&Structure>,
    input: &Object,
    addressed: &Addressed,
) -> Result<(), Malformed> {
    let Addressed::Prefix(found) = addressed else {
        return Ok(());
    };
    // A prefix that ends otherwise is part of a label, and no text of its own before the endpoint's name.
    let template = operation.host_prefix.as_deref();
    let Some(template) = template.and_then(|t| t.strip_suffix('.')) else {
        return Ok(());
    };
    let expected = expanded(template, shape, input);
    if expected
        .as_deref()
        .is_some_and(|e| e.eq_ignore_ascii_case(found))
    {
        return Ok(());
    }
    Err(Malformed::HostLabel {
        expected: shown(expected.as_deref().unwrap_or(template)),
        found: shown(found),
    })
}

/// A host prefix with its labels' values; `None` where one isn't there.
fn expanded(template: &str, shape: Option<&Structure>, input: &Object) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (name, after) = after.split_once('}')?;
        let mut members = shape?.members.iter().filter(|m| m.host_label);
        let member = members.find(|m| m.name == name || m.wire_name() == name)?;
        out.push_str(input.get(&member.name).and_then(Value::as_str)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::protocol::cases;

    fn check(template: &str, host: Addressed, account: &str, expected: Result<(), &str>) {
        let service = cases::service("mgn");
        let mut operation = service.operations["TerminateTargetInstances"].clone();
        operation.host_prefix = Some(template.to_owned());
        let mut shape = service.input(&operation).unwrap().clone();
        shape.members.iter_mut().for_each(|m| m.host_label = true);
        let account = ("accountID".to_owned(), Value::String(account.to_owned()));
        let input = [account].into_iter().collect();
        let found = agrees(&operation, Some(&shape), &input, &host).map_err(|e| e.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{template}");
    }

    #[test]
    fn a_label_in_the_host_is_the_one_that_the_input_has() {
        let host = || Addressed::Prefix("123456789012".to_owned());
        check("{accountID}.", host(), "123456789012", Ok(()));
        check(
            "{accountID}.",
            host(),
            "210987654321",
            Err("the host says `123456789012`, and the call `210987654321`"),
        );
        check(
            "data.",
            host(),
            "1",
            Err("the host says `123456789012`, and the call `data`"),
        );
        check("{accountID}.", Addressed::Service, "1", Ok(()));
        check("sync-", host(), "1", Ok(()));
    }
}
