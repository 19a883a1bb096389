//! Hosts: `bucket.s3.eu-west-1.amazonaws.com`.

use palisade::aws::host::Host;

use super::catalog;

/// A host.
pub fn read_host(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(host) = Host::parse(text) else { return };
    assert_eq!(
        Host::parse(host.as_str()).as_ref(),
        Ok(&host),
        "it is spelt otherwise when it's parsed again"
    );
    assert_eq!(
        Host::parse(&text.to_ascii_uppercase()),
        Host::parse(&text.to_ascii_lowercase()),
        "a host's name has no case"
    );
    let _ = catalog().resolve(&host);
}
