//! Names in camel case: their words, and whether two words are the same.

/// The words of a camel-case name, lower-case: `IPSetWorkspacesPool` is ip, set, workspaces, pool.
pub(super) fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut found: Vec<String> = Vec::new();
    for (at, &c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|b| chars.get(b));
        let after = chars.get(at + 1);
        let starts = c.is_ascii_uppercase()
            && (before.is_none_or(|b| !b.is_ascii_uppercase())
                || after.is_some_and(char::is_ascii_lowercase));
        match found.last_mut() {
            Some(word) if !starts => word.push(c.to_ascii_lowercase()),
            Some(_) | None => found.push(c.to_ascii_lowercase().to_string()),
        }
    }
    found
}

pub(super) fn same(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same_word(x, y))
}

pub(super) fn ends_with(longer: &[String], end: &[String]) -> bool {
    longer
        .len()
        .checked_sub(end.len())
        .and_then(|skip| longer.get(skip..))
        .is_some_and(|tail| same(tail, end))
}

/// Whether two words are the same, singular or plural.
pub(super) fn same_word(a: &str, b: &str) -> bool {
    let forms = |w: &str| {
        let mut forms = vec![w.to_owned()];
        forms.extend(w.strip_suffix('s').map(str::to_owned));
        forms.extend(w.strip_suffix("es").map(str::to_owned));
        forms.extend(w.strip_suffix("ies").map(|s| format!("{s}y")));
        forms
    };
    let (a, b) = (forms(a), forms(b));
    a.iter().any(|f| b.contains(f))
}

/// Words as one name, the last in the singular: ip, sets is `IpSet`.
pub(super) fn camel(words: &[String]) -> String {
    let last = words.len().saturating_sub(1);
    words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let word = if at == last {
                singular(word)
            } else {
                word.clone()
            };
            let mut chars = word.chars();
            chars.next().map_or_else(String::new, |c| {
                c.to_ascii_uppercase().to_string() + chars.as_str()
            })
        })
        .collect()
}

pub(super) fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    if let Some(stem) = word
        .strip_suffix("iases")
        .or_else(|| word.strip_suffix("sses"))
    {
        return word.strip_suffix("es").unwrap_or(stem).to_owned();
    }
    let kept = ["ss", "us", "is", "ias"].iter().any(|e| word.ends_with(e));
    match word.strip_suffix('s') {
        Some(stem) if !kept => stem.to_owned(),
        Some(_) | None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_into_words() {
        for (name, expected) in [
            ("WorkspacesPoolSession", "workspaces pool session"),
            ("IPSet", "ip set"),
            ("sourceServer", "source server"),
            ("AWSOrganizationsAccess", "aws organizations access"),
            ("", ""),
        ] {
            assert_eq!(words(name).join(" "), expected);
        }
    }

    #[test]
    fn plural_and_singular_are_the_same_word() {
        for (a, b) in [
            ("workspaces", "workspace"),
            ("policies", "policy"),
            ("aliases", "alias"),
            ("databases", "database"),
        ] {
            assert!(same_word(a, b), "{a} {b}");
        }
        assert!(!same_word("pool", "policy"));
    }

    #[test]
    fn a_kind_is_a_singular_name() {
        let kind = |name| camel(&words(name));
        assert_eq!(kind("Workspaces"), "Workspace");
        assert_eq!(kind("ConnectionAliases"), "ConnectionAlias");
        assert_eq!(kind("LaunchPolicies"), "LaunchPolicy");
        assert_eq!(kind("Status"), "Status");
    }
}
