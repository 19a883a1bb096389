//! The name that somebody probably meant, for messages about a name that isn't known.

/// The candidate that is the fewest edits away from `name` (a character inserted, removed, replaced, or two
/// neighbours swapped; case counts for nothing), of several the first. `None` where none is close: more than a third of the
/// longer name would have to change.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        let limit = wanted.len().max(other.len()).div_ceil(3);
        if wanted.len().abs_diff(other.len()) > limit {
            continue;
        }
        let edits = distance(&wanted, &other);
        if edits <= limit && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Damerau's distance with neighbouring swaps (optimal string alignment), in rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous: Option<char> = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        let mut earlier: Option<char> = None;
        for (j, &y) in b.iter().enumerate() {
            let replaced = cell(&above, j) + usize::from(x != y);
            let mut edits = replaced.min(cell(&above, j + 1) + 1).min(left + 1);
            if previous == Some(y) && earlier == Some(x) {
                edits = edits.min(cell(&before, j.saturating_sub(1)) + 1);
            }
            row.push(edits);
            left = edits;
            earlier = Some(y);
        }
        before = std::mem::replace(&mut above, row);
        previous = Some(x);
    }
    above.last().copied().unwrap_or(a.len())
}

fn cell(row: &[usize], at: usize) -> usize {
    row.get(at).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(
            nearest(name, candidates.iter().copied()),
            expected,
            "{name}"
        );
    }

    #[test]
    fn a_typo_finds_what_was_meant() {
        let operations = ["TerminateWorkspaces", "RebootWorkspaces", "StopWorkspaces"];
        check(
            "TerminateWorkspace",
            &operations,
            Some("TerminateWorkspaces"),
        );
        check(
            "terminateworkspaces",
            &operations,
            Some("TerminateWorkspaces"),
        );
        check("StpoWorkspaces", &operations, Some("StopWorkspaces"));
        check("listne", &["listen", "admin"], Some("listen"));
        check("state-dir", &["state_dir", "services"], Some("state_dir"));
    }

    #[test]
    fn what_is_far_from_everything_finds_nothing() {
        check("DeleteEverything", &["StopWorkspaces"], None);
        check("", &["mgn"], None);
        check("mgn", &[], None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("ab"), &chars("ba")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
        assert_eq!(distance(&chars("abc"), &chars("")), 3);
    }

    #[test]
    fn of_two_that_are_equally_near_the_first_is_named() {
        check("ax", &["ab", "ac"], Some("ab"));
    }
}
