//! The name that somebody probably meant.

/// The candidate closest to `name` by edit distance, ignoring case; `None` where nothing is close enough to
/// be worth suggesting (more than a third of the name would have to change). Of equally close candidates the
/// first wins.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, over characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut before = i + 1;
        next.push(before);
        for (pair, r) in row.windows(2).zip(&right) {
            let &[diagonal, above] = pair else { continue };
            let here = (diagonal + usize::from(l != *r))
                .min(above + 1)
                .min(before + 1);
            next.push(here);
            before = here;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
    fn the_closest_name_is_suggested_and_nothing_far_off() {
        check("lsten", &["admin", "listen"], Some("listen"));
        check("LISTEN", &["listen"], Some("listen"));
        check("timeuot", &["timeout", "ca_file"], Some("timeout"));
        check("colour", &["admin", "listen"], None);
        check("", &["admin"], None);
        check("x", &[], None);
    }

    #[test]
    fn distance_is_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
