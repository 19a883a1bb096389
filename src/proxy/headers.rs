//! Headers that belong to one connection and never travel on.

use http::header::{
    CONNECTION, EXPECT, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// The hop-by-hop headers (RFC 9110, section 7.6.1), and `Expect`, which the nearest server answers. Headers that
/// `Connection` nominates are not among them: a request that nominates any is refused when it arrives.
pub static HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes them. Sign a request afterwards, not before.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most have none: to look at the few that are there costs less than to look for each that isn't.
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
}

/// What a `Connection` header asks for beyond `close` and `keep-alive`, in a request's headers.
pub(crate) fn nominated(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(|token| String::from_utf8_lossy(token.trim_ascii()).to_ascii_lowercase())
        .find(|token| !matches!(token.as_str(), "" | "close" | "keep-alive" | "te"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_may_only_close_or_keep() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(CONNECTION, "keep-alive".parse().unwrap());
            headers.append(CONNECTION, value.parse().unwrap());
            nominated(&headers)
        };
        assert_eq!(check("close, TE"), None);
        assert_eq!(check("close, X-Amz-Target"), Some("x-amz-target".into()));
        assert_eq!(check("Upgrade"), Some("upgrade".into()));
    }

    #[test]
    fn what_belongs_to_a_connection_is_removed() {
        let mut headers = HeaderMap::new();
        for name in ["connection", "te", "x-amz-date", "transfer-encoding"] {
            headers.insert(HeaderName::from_static(name), "x".parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-amz-date"]);
    }
}
