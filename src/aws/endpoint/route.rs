//! Hosts that lead a request to an account or a resource: the call must be about that one.

use super::Endpoint;
use crate::aws::value::{Object, Value};

/// How deep ARNs are looked for; inputs are bounded before that.
const DEPTH_MAX: usize = 32;

impl Endpoint {
    /// Whether the host leads where the call goes: every label in front of its name is the account that the call acts in,
    /// a parameter, or a part of an ARN in the input.
    #[must_use]
    pub fn leads_to(&self, account: &str, input: &Object) -> bool {
        let Some(route) = &self.route else {
            return true;
        };
        let given = |value: &str| value.eq_ignore_ascii_case(route);
        let whole = input.iter().any(|(_, value)| match value {
            // An id is written in the host with a dot for its hyphen where it has two labels.
            Value::String(text) => given(text) || given(&text.replace('-', ".")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                false
            }
        });
        whole
            || route
                .split('.')
                .all(|label| label == account || in_object(input, label, DEPTH_MAX))
    }
}

fn in_object(object: &Object, label: &str, depth: usize) -> bool {
    object
        .iter()
        .any(|(key, value)| in_arn(key, label) || in_value(value, label, depth))
}

fn in_value(value: &Value, label: &str, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Value::String(text) => in_arn(text, label),
        Value::List(items) => items.iter().any(|item| in_value(item, label, depth)),
        Value::Object(object) => in_object(object, label, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn in_arn(text: &str, label: &str) -> bool {
    text.starts_with("arn:")
        && text
            .split([':', '/'])
            .any(|part| part.eq_ignore_ascii_case(label))
}

#[cfg(test)]
mod tests {
    use super::super::tests::endpoint;
    use super::*;

    fn check(route: &str, input: &str, expected: bool) {
        let endpoint = Endpoint {
            route: Some(route.to_owned()),
            ..endpoint("dynamodb.us-east-1.amazonaws.com")
        };
        let input = crate::aws::protocol::json::parse(input.as_bytes()).unwrap();
        let found = endpoint.leads_to("123456789012", input.as_object().unwrap());
        assert_eq!(found, expected, "{route} {input:?}");
    }

    #[test]
    fn a_host_leads_to_the_calls_account_or_to_what_the_input_names() {
        check("123456789012", r#"{"TableName": "one"}"#, true);
        check("210987654321", r#"{"TableName": "one"}"#, false);
        check(
            "210987654321",
            r#"{"TableName": "arn:aws:dynamodb:us-east-1:210987654321:table/one"}"#,
            true,
        );
        check(
            "210987654321",
            r#"{"RequestItems": {"arn:aws:dynamodb:us-east-1:210987654321:table/one": []}}"#,
            true,
        );
        check("210987654321", r#"{"TableName": "210987654321-x"}"#, false);
        check("space-1", r#"{"spaceId": "space-1"}"#, true);
        check("space-2", r#"{"spaceId": "space-1"}"#, false);
        check(
            "abcdefghij0123456789.abc",
            r#"{"StreamId": "abcdefghij0123456789-abc"}"#,
            true,
        );
        check(
            "abcdefghij0123456789.abd",
            r#"{"StreamId": "abcdefghij0123456789-abc"}"#,
            false,
        );
        check(
            "q-1",
            r#"{"QueueARN": "arn:aws:kinesis:us-east-1:1:queue/q-1"}"#,
            true,
        );
    }
}
