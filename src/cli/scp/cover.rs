//! Few patterns for many actions.
//!
//! INVARIANT: a pattern fits no action of AWS's list but those that it is for. It begins with a whole word of theirs, so
//! that it says what it forbids of what AWS adds later, too: `ec2:DeleteVpc*`, never `ec2:De*`.

use std::collections::{BTreeMap, BTreeSet};

use crate::aws::iam::Action;

/// The actions to forbid under one prefix as patterns, in order, where AWS has these actions under it.
pub(super) fn cover(
    prefix: &str,
    wanted: &BTreeMap<String, Action>,
    all: &BTreeSet<&str>,
) -> Vec<String> {
    let items: Vec<&Action> = wanted.values().collect();
    let others = all.iter().copied().filter(|a| !wanted.contains_key(*a));
    let others: Vec<&str> = others.collect();
    let mut found = Vec::new();
    below(0, &items, &others, &mut found);
    found.into_iter().map(|p| format!("{prefix}:{p}")).collect()
}

/// What covers these, which have their first `depth` letters in common with each other and with the others.
fn below(depth: usize, items: &[&Action], others: &[&str], found: &mut Vec<String>) {
    let [first, rest @ ..] = items else {
        return;
    };
    let has_word = items.iter().all(|a| first_word(&a.name) <= depth);
    if others.is_empty() && has_word && !rest.is_empty() {
        let begin: String = first.name.chars().take(depth).collect();
        found.push(format!("{begin}*"));
        return;
    }
    if rest.is_empty() && others.is_empty() {
        found.push(shortened(&first.name, depth));
        return;
    }
    let mut by_next: BTreeMap<u8, (Vec<&Action>, Vec<&str>)> = BTreeMap::new();
    for item in items {
        match item.key.as_bytes().get(depth) {
            Some(next) => by_next.entry(*next).or_default().0.push(item),
            None => found.push(item.name.clone()),
        }
    }
    for other in others {
        if let Some(next) = other.as_bytes().get(depth) {
            by_next.entry(*next).or_default().1.push(other);
        }
    }
    for (items, others) in by_next.into_values() {
        below(depth.saturating_add(1), &items, &others, found);
    }
}

/// A name to the end of the word that nothing else has at this place: `DeleteVpc*` for `DeleteVpcPeeringConnection`.
fn shortened(name: &str, depth: usize) -> String {
    let least = depth.max(first_word(name).saturating_add(1));
    let capitals = name.char_indices().filter(|(_, c)| c.is_ascii_uppercase());
    let mut ends = capitals.map(|(at, _)| at).filter(|at| *at >= least);
    match ends.next().and_then(|end| name.get(..end)) {
        Some(begin) => format!("{begin}*"),
        None => name.to_owned(),
    }
}

/// How long the first word is: 6 for `DeleteVpc`, all of `DELETE`.
fn first_word(name: &str) -> usize {
    let after = name.char_indices().skip(1);
    let mut capitals = after.filter(|(_, c)| c.is_ascii_uppercase());
    match capitals.next() {
        Some((1, _)) | None => name.len(),
        Some((at, _)) => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &[&str], others: &[&str], expected: &[&str]) {
        let action = |name: &&str| {
            let key = name.to_ascii_lowercase();
            let action = Action {
                prefix: "x".to_owned(),
                key: key.clone(),
                name: (*name).to_owned(),
            };
            (key, action)
        };
        let map: BTreeMap<String, Action> = wanted.iter().map(action).collect();
        let all = map.keys().map(String::as_str);
        let all: BTreeSet<&str> = all.chain(others.iter().copied()).collect();
        assert_eq!(cover("x", &map, &all), expected);
    }

    #[test]
    fn a_pattern_fits_nothing_else() {
        check(&["DeleteA", "DeleteB"], &["describea"], &["x:Delete*"]);
        check(
            &["DeleteAlpha", "DeleteAlphabet", "DeleteBeta"],
            &["deletebecause"],
            &["x:DeleteA*", "x:DeleteBeta"],
        );
        check(
            &["DeleteTag", "DeleteTags"],
            &["deletetagsofother"],
            &["x:DeleteTag", "x:DeleteTags"],
        );
    }

    #[test]
    fn a_pattern_holds_its_first_word_whole() {
        check(
            &["DeleteA", "DetachB"],
            &["createa"],
            &["x:DeleteA", "x:DetachB"],
        );
        check(&["DeleteA"], &["createa"], &["x:DeleteA"]);
        check(&["DELETE", "PUT"], &["get"], &["x:DELETE", "x:PUT"]);
    }

    #[test]
    fn a_long_name_ends_with_the_word_that_tells_it() {
        check(
            &["DeleteVpcPeeringConnection", "DeleteSubnetCidrReservation"],
            &["deletesubway", "deletevolume"],
            &["x:DeleteSubnet*", "x:DeleteVpc*"],
        );
    }
}
