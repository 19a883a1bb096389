//! Whether what AWS answered is what was asked for, however the caller spelt it.

use crate::aws::value::{Object, Value};
use crate::guard::knowledge::LookupRule;
use crate::guard::path::Path;

/// How many characters AWS puts behind a secret's name in its ARN, the hyphen among them.
const ARN_TAIL: usize = 7;

/// The text at a path.
pub(super) fn text(path: &Path, item: &Object) -> Option<String> {
    path.value(item).and_then(Value::as_str).map(str::to_owned)
}

/// The ARN that an item has, without what isn't part of it.
pub(super) fn arn(lookup: &LookupRule, item: &Object) -> Option<String> {
    let arn = text(lookup.arn.as_ref()?, item)?;
    let suffix = lookup.arn_suffix.as_deref().unwrap_or_default();
    Some(arn.strip_suffix(suffix).unwrap_or(&arn).to_owned())
}

/// An id without what may stand before it and says nothing.
pub(super) fn bare<'t>(lookup: &LookupRule, id: &'t str) -> &'t str {
    let prefix = lookup.id_prefix.as_deref().unwrap_or_default();
    id.strip_prefix(prefix).unwrap_or(id)
}

/// Whether an item with this id is what somebody called `asked`.
pub(super) fn is_same(lookup: &LookupRule, item: &Object, id: &str, asked: &str) -> bool {
    let (asked, id) = (bare(lookup, asked), bare(lookup, id));
    let same = |answered: &str| {
        answered == asked || lookup.fold_case && answered.eq_ignore_ascii_case(asked)
    };
    let arn = arn(lookup, item);
    let mut others = lookup
        .spellings
        .iter()
        .filter_map(|path| text(path, item))
        .chain(arn.clone());
    same(id)
        || others.any(|other| same(&other))
        || lookup.partial_arn && arn.is_some_and(|arn| is_part(&arn, asked))
}

/// Whether a text is the beginning of an ARN up to the characters that AWS added, or its end from one of its parts on.
fn is_part(arn: &str, asked: &str) -> bool {
    let tail = arn
        .strip_prefix(asked)
        .filter(|_| asked.starts_with("arn:"));
    let before = arn.strip_suffix(asked).filter(|_| asked.contains(':'));
    tail.is_some_and(|tail| tail.len() == ARN_TAIL && tail.starts_with('-'))
        || before.is_some_and(|before| before.ends_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_found_by_its_beginning_and_its_end_at_a_border_only() {
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf";
        assert!(is_part(
            secret,
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db"
        ));
        assert!(!is_part(
            secret,
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:d"
        ));
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:f";
        assert!(is_part(function, "123456789012:function:f"));
        assert!(is_part(function, "function:f"));
        assert!(!is_part(function, "f"));
        assert!(!is_part(function, "23456789012:function:f"));
        assert!(!is_part(function, ""));
    }
}
