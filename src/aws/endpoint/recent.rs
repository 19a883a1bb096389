//! Hosts that were resolved lately: all requests of a connection go to one, and those of a fleet to few.
//!
//! INVARIANT: what is found is what the table of hosts says: it says the same of a host each time, and where it changes
//! everything kept is forgotten.

use std::collections::HashMap;
use std::sync::RwLock;

use super::Endpoint;
use crate::aws::host::Host;

/// The most hosts that are kept: each bucket has one of its own. Beyond that all are forgotten, and resolved anew.
const KEPT_MAX: usize = 512;

/// The endpoints of hosts that were asked for.
#[derive(Debug, Default)]
pub(super) struct Recent(RwLock<HashMap<Host, Endpoint>>);

impl Recent {
    pub(super) fn find(&self, host: &Host) -> Option<Endpoint> {
        self.0.read().ok()?.get(host).cloned()
    }

    pub(super) fn keep(&self, host: &Host, endpoint: &Endpoint) {
        let Ok(mut kept) = self.0.write() else {
            return;
        };
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(host.clone(), endpoint.clone());
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::Catalog;
    use crate::aws::endpoint::Resolved;

    #[test]
    fn what_is_kept_is_bounded_and_says_what_the_table_says() {
        let catalog = Catalog::embedded().unwrap();
        let resolve = |name: &str| {
            let host = Host::parse(name).unwrap();
            match catalog.resolve(&host) {
                Resolved::Api(endpoint) => (host, endpoint),
                other @ (Resolved::Unmodelled | Resolved::Foreign) => panic!("{name}: {other:?}"),
            }
        };
        let recent = Recent::default();
        for n in 0..3 * KEPT_MAX {
            let (host, endpoint) = resolve(&format!("bucket-{n}.s3.eu-west-1.amazonaws.com"));
            recent.keep(&host, &endpoint);
            assert_eq!(recent.find(&host), Some(endpoint.clone()));
            assert_eq!(resolve(host.as_str()).1, endpoint, "a second time");
            assert!(recent.0.read().unwrap().len() <= KEPT_MAX);
        }
        let other = resolve("workspaces.eu-west-1.amazonaws.com").0;
        assert_eq!(recent.find(&other), None);
    }
}
