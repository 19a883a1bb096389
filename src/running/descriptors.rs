//! File descriptors: as many as we may have, and no more connections than they suffice for. A guard that runs out of
//! them can't reach AWS and can't begin a segment of its journal, whoever opened the connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::proxy::lanes;

/// A client's connection, and the one that is opened for it.
const PER_CONNECTION: u64 = 2;
/// Kept free for the journal, the state folder, lookups and idle upstream connections, where there are enough: a quarter
/// of all, of which idle connections get half.
const RESERVED_MAX: u64 = 4096;

/// Raises the limit as far as the system lets us, and returns how many of `wanted` connections it suffices for.
pub(super) fn connections(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let lanes = u64::try_from(lanes::count()).unwrap_or(u64::MAX);
    let own = lanes.saturating_mul(lanes::DESCRIPTORS);
    let current = getrlimit(Resource::Nofile).current;
    let permitted = fit(wanted, current.map(|all| all.saturating_sub(own)));
    if permitted < wanted {
        tracing::warn!(
            permitted,
            connections_max = wanted,
            "fewer connections than `limits.connections_max`: raise the limit of open files (ulimit -n, LimitNOFILE)"
        );
    }
    permitted
}

/// How many idle upstream connections the limit suffices for.
pub(super) fn idle() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let idle = maximum.map_or(RESERVED_MAX, reserved) / 2;
    usize::try_from(idle).unwrap_or(usize::MAX)
}

fn reserved(descriptors: u64) -> u64 {
    (descriptors / 4).min(RESERVED_MAX)
}

/// `None` is no limit.
fn fit(wanted: usize, descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else {
        return wanted;
    };
    let most = (descriptors - reserved(descriptors)) / PER_CONNECTION;
    wanted
        .min(usize::try_from(most).unwrap_or(usize::MAX))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_journal() {
        for (descriptors, expected) in [
            (None, 10_000),
            (Some(1 << 20), 10_000),
            (Some(1024), 384),
            (Some(256), 96),
            (Some(0), 1),
        ] {
            assert_eq!(fit(10_000, descriptors), expected, "{descriptors:?}");
        }
        assert_eq!(fit(16, Some(1024)), 16);
    }
}
