//! The roles' credentials of one table, each in a cache of its own. How many there are is bounded, since callers name
//! their sessions: the one unused for longest goes first, and costs one more AssumeRole when it's wanted again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::cache::Cache;
use super::plan::Step;

/// The most sessions of roles of one table.
const SESSIONS_MAX: usize = 4096;

/// Caches by the whole way from the source: a role that is assumed from another one is another session.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    caches: HashMap<Vec<Step>, Place>,
    /// Counts the uses.
    uses: u64,
}

#[derive(Debug)]
struct Place {
    cache: Arc<Cache>,
    used: u64,
}

impl Shelf {
    /// The cache of those steps, made where there is none.
    pub(super) fn cache(&self, steps: &[Step]) -> Arc<Cache> {
        self.bounded(steps, SESSIONS_MAX)
    }

    fn bounded(&self, steps: &[Step], max: usize) -> Arc<Cache> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.uses = places.uses.saturating_add(1);
        let used = places.uses;
        if let Some(place) = places.caches.get_mut(steps) {
            place.used = used;
            return Arc::clone(&place.cache);
        }
        if places.caches.len() >= max {
            places.drop_oldest();
        }
        let cache = Arc::<Cache>::default();
        let place = Place {
            cache: Arc::clone(&cache),
            used,
        };
        places.caches.insert(steps.to_vec(), place);
        cache
    }
}

impl Places {
    fn drop_oldest(&mut self) {
        let oldest = self.caches.iter().min_by_key(|(_, place)| place.used);
        if let Some(steps) = oldest.map(|(steps, _)| steps.clone()) {
            self.caches.remove(&steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::arn::RoleArn;

    fn steps(session_name: &str) -> Vec<Step> {
        vec![Step {
            role: RoleArn::parse("arn:aws:iam::123456789012:role/work").unwrap(),
            session_name: session_name.to_owned(),
            source_identity: "ada".to_owned(),
            external_id: None,
        }]
    }

    #[test]
    fn each_way_has_its_own_cache() {
        let shelf = Shelf::default();
        let (one, two) = (steps("one"), steps("two"));
        let both = [one.clone(), two.clone()].concat();
        let external = vec![Step {
            external_id: Some("x".to_owned()),
            ..steps("one").remove(0)
        }];
        let caches = [&one, &two, &both, &external].map(|s| shelf.cache(s));
        for (i, a) in caches.iter().enumerate() {
            let same = caches.iter().filter(|b| Arc::ptr_eq(a, b));
            assert_eq!(same.count(), 1, "{i}");
        }
        assert!(Arc::ptr_eq(&caches[0], &shelf.cache(&one)));
    }

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let shelf = Shelf::default();
        let get = |name: &str| shelf.bounded(&steps(name), 2);
        let (a, b) = (get("a"), get("b"));
        assert!(Arc::ptr_eq(&a, &get("a")));
        get("c");
        assert!(Arc::ptr_eq(&a, &get("a")));
        assert!(!Arc::ptr_eq(&b, &get("b")));
        assert_eq!(shelf.0.lock().unwrap().caches.len(), 2);
    }
}
