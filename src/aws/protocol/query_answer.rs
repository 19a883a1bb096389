//! Answers of the query protocol, written by whoever stands in AWS's place.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#response-serialization>

use super::xml::escaped;
use crate::aws::catalog::model::Service;
use crate::aws::value::{Object, Value};

/// The body of a successful answer, `text/xml`: members under their names, items of lists as `member`, absent where they
/// are null.
#[must_use]
pub fn query_answer(
    service: &Service,
    operation: &str,
    result: &Object,
    request_id: &str,
) -> Vec<u8> {
    let xmlns = service.xml_namespace.as_deref();
    query_answer_in(xmlns, operation, result, request_id)
}

/// The same in a given namespace.
#[must_use]
pub fn query_answer_in(
    namespace: Option<&str>,
    operation: &str,
    result: &Object,
    request_id: &str,
) -> Vec<u8> {
    let xmlns = namespace.map_or_else(String::new, |n| format!(" xmlns=\"{}\"", escaped(n)));
    let mut out = format!("<{operation}Response{xmlns}><{operation}Result>");
    members(result, &mut out);
    out.push_str(&format!(
        "</{operation}Result><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        escaped(request_id)
    ));
    out.into_bytes()
}

fn members(object: &Object, out: &mut String) {
    for (name, value) in object.iter() {
        element(name, value, out);
    }
}

fn element(name: &str, value: &Value, out: &mut String) {
    let text = match value {
        Value::Null => return,
        Value::Object(object) => {
            out.push_str(&format!("<{name}>"));
            members(object, out);
            out.push_str(&format!("</{name}>"));
            return;
        }
        Value::List(items) => {
            out.push_str(&format!("<{name}>"));
            for item in items {
                element("member", item, out);
            }
            out.push_str(&format!("</{name}>"));
            return;
        }
        Value::String(text) => escaped(text),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
    };
    out.push_str(&format!("<{name}>{text}</{name}>"));
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::aws::protocol::cases::service;
    use crate::aws::protocol::json::parse;
    use crate::aws::protocol::{decode_output, preferred};

    fn object(json: &str) -> Object {
        parse(json.as_bytes()).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn an_answer_has_the_shape_of_the_protocol() {
        let result = object(r#"{"A":{"B":"x&<y>"},"C":[1,{"D":true}],"E":null,"F":[]}"#);
        let body = query_answer_in(Some("u?a&b"), "Op", &result, "id-1");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "<OpResponse xmlns=\"u?a&amp;b\"><OpResult><A><B>x&amp;&lt;y&gt;</B></A><C><member>1</member><member><D>true</D></member></C><F></F></OpResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></OpResponse>"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let sts = service("sts");
        let operation = &sts.operations["GetCallerIdentity"];
        let result =
            object(r#"{"UserId":"a:b","Account":"123456789012","Arn":"arn:aws:iam::1:user/a&b"}"#);
        let body = query_answer(&sts, &operation.name, &result, "id-1");
        let protocol = preferred(&sts).unwrap();
        let read = decode_output(&sts, operation, protocol, &HeaderMap::new(), &body);
        assert_eq!(read.unwrap(), result);
        assert!(body.starts_with(
            b"<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        ));
    }
}
