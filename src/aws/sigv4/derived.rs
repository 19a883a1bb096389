//! The key that a day's requests to one service in one region are signed with, worked out once for each and kept, ready
//! to sign: its derivation, and what an HMAC makes of its key, are more work than the signature itself.
//!
//! INVARIANT: a key that is found was made from this very secret, day, region and service: all four are compared.

use std::cell::RefCell;
use std::hash::BuildHasher as _;

use aws_sigv4::sign::v4::generate_signing_key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::authorization::Scope;
use super::date::Instant;
use super::hex::hex;

/// The most keys that a thread keeps. Where callers, regions and services are more, all are forgotten and made anew.
const KEPT_MAX: usize = 256;

thread_local! {
    /// For each thread its own: nobody waits for anybody.
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A day's key, as the hash that it begins. Wiped when dropped; on the heap, so that no move leaves a copy behind.
#[derive(Clone)]
pub(super) struct DayKey(Box<Hmac<Sha256>>);

impl DayKey {
    /// Of a SHA-256, which is shorter than the block that it is padded to.
    fn of(key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0_u8; 64]);
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        Self(Box::new(Hmac::new((&*block).into())))
    }

    /// The signature over `text`, 64 lower-case hex digits.
    pub(super) fn signature(&self, text: &str) -> String {
        let mac = Hmac::clone(&self.0).chain_update(text);
        hex(&mac.finalize().into_bytes())
    }
}

/// The key of a scope's region and service on the day of `at`.
pub(super) fn day_key(secret: &str, at: Instant, scope: &Scope) -> DayKey {
    with(secret, at, scope, DayKey::clone)
}

/// The signature over `text`, 64 lower-case hex digits.
pub(super) fn signature(secret: &str, at: Instant, scope: &Scope, text: &str) -> String {
    with(secret, at, scope, |key| key.signature(text))
}

fn with<T>(secret: &str, at: Instant, scope: &Scope, using: impl FnOnce(&DayKey) -> T) -> T {
    KEPT.with_borrow_mut(|kept| using(kept.key(secret, at, scope)))
}

#[derive(Default)]
struct Kept {
    hasher: foldhash::fast::RandomState,
    keys: foldhash::HashMap<u64, Entry>,
}

/// A key with what it was made from.
struct Entry {
    secret: Zeroizing<String>,
    day: i64,
    region: String,
    service: String,
    key: DayKey,
}

impl Kept {
    fn key(&mut self, secret: &str, at: Instant, scope: &Scope) -> &DayKey {
        let (day, region, service) = (at.day(), &scope.region, &scope.service);
        let place = self.hasher.hash_one((secret, day, region, service));
        let is_it = |entry: &Entry| {
            *entry.secret == secret
                && entry.day == day
                && entry.region == *region
                && entry.service == *service
        };
        if self.keys.len() >= KEPT_MAX && !self.keys.contains_key(&place) {
            self.keys.clear();
        }
        let made = || Entry {
            secret: Zeroizing::new(secret.to_owned()),
            day,
            region: region.clone(),
            service: service.clone(),
            key: made(secret, at, scope),
        };
        let entry = self.keys.entry(place).or_insert_with(made);
        if !is_it(entry) {
            *entry = made();
        }
        &entry.key
    }
}

fn made(secret: &str, at: Instant, scope: &Scope) -> DayKey {
    let key = generate_signing_key(secret, at.system_time(), &scope.region, &scope.service);
    DayKey::of(key.as_ref())
}

#[cfg(test)]
mod tests {
    use aws_sigv4::sign::v4::calculate_signature;

    use super::super::authorization::Algorithm;
    use super::*;

    const TEXT: &str = "AWS4-HMAC-SHA256\n20150830T123600Z";

    fn signed_by_the_sdk(secret: &str, at: Instant, scope: &Scope) -> String {
        let key = generate_signing_key(secret, at.system_time(), &scope.region, &scope.service);
        calculate_signature(key, TEXT.as_bytes())
    }

    fn at(text: &str) -> Instant {
        Instant::parse_iso(text).unwrap()
    }

    fn scope(region: &str, service: &str) -> Scope {
        Scope {
            algorithm: Algorithm::Hmac,
            date: String::new(),
            region: region.to_owned(),
            service: service.to_owned(),
        }
    }

    #[test]
    fn a_kept_key_is_the_one_that_would_be_made() {
        let mut kept = Kept::default();
        for _ in 0..2 {
            for secret in ["one", "two"] {
                for at in ["20150830T000000Z", "20150830T235959Z", "20150831T000000Z"].map(at) {
                    for scope in [scope("a", "bc"), scope("ab", "c"), scope("a", "b")] {
                        let right = signed_by_the_sdk(secret, at, &scope);
                        assert_eq!(kept.key(secret, at, &scope).signature(TEXT), right);
                    }
                }
            }
        }
        assert_eq!(kept.keys.len(), 2 * 2 * 3);
    }

    #[test]
    fn a_key_in_anothers_place_is_made_anew() {
        let mut kept = Kept::default();
        let (at, scope) = (at("20150830T123600Z"), scope("a", "b"));
        kept.key("one", at, &scope);
        for entry in kept.keys.values_mut() {
            entry.secret = Zeroizing::new("another".to_owned());
            entry.key = DayKey::of(&[0]);
        }
        let right = signed_by_the_sdk("one", at, &scope);
        assert_eq!(kept.key("one", at, &scope).signature(TEXT), right);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for secret in 0..3 * KEPT_MAX {
            kept.key(
                &secret.to_string(),
                at("20150830T123600Z"),
                &scope("a", "b"),
            );
            assert!(kept.keys.len() <= KEPT_MAX);
        }
    }
}
