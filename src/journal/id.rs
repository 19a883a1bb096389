//! Ids of decisions and of events.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// A UUIDv7 of a moment. It tells things apart and is no secret: its random part comes from no system call, of which a
/// call would make two.
#[must_use]
pub fn uuid_at(moment: SystemTime) -> Uuid {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_are_of_their_moment_and_no_two_are_alike() {
        let at = |millis| uuid_at(UNIX_EPOCH + Duration::from_millis(millis));
        let of_one_moment: BTreeSet<Uuid> = (0..1000).map(|_| at(7)).collect();
        assert_eq!(of_one_moment.len(), 1000);
        assert!(of_one_moment.iter().all(|id| id.get_version_num() == 7));
        assert!(of_one_moment.iter().all(|id| *id < at(8)));
    }
}
