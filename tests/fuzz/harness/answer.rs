//! Answers of AWS: a line `SERVICE OPERATION STATUS`, lines `name: value`, an empty line, the body.

use http::StatusCode;
use palisade::aws::protocol;

use super::{catalog, head_and_body, headers};

/// An answer, in each of the protocols that the service speaks: an output or an error, bounded.
pub fn read_answer(data: &[u8]) {
    let Some((head, body)) = head_and_body(data) else {
        return;
    };
    let mut lines = head.split('\n');
    let mut first = lines.next().unwrap_or_default().splitn(3, ' ');
    let (Some(service), Some(operation), Some(status)) = (first.next(), first.next(), first.next())
    else {
        return;
    };
    let Some(headers) = headers(lines) else {
        return;
    };
    let Ok(status) = status.parse::<StatusCode>() else {
        return;
    };
    let Ok(Some(service)) = catalog().service(service) else {
        return;
    };
    for protocol in &service.protocols {
        let error = protocol::decode_error(*protocol, status, &headers, body);
        assert!(!error.code.is_empty(), "an error without a code");
        assert!(error.code.chars().count() <= 128, "{}", error.code);
        assert!(error.message.chars().count() <= 1024, "{}", error.message);
        assert!(
            !error.to_string().chars().any(char::is_control),
            "control characters in {error}"
        );
        if let Some(operation) = service.operations.get(operation) {
            let _ = protocol::decode_output(&service, operation, *protocol, &headers, body);
        }
    }
}
