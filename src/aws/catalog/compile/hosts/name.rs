//! A host with variables → its front and the template that it is found by.

use std::collections::BTreeSet;

use super::super::ruleset::{Piece, pieces};
use crate::aws::catalog::index::{Meaning, Partition};

/// A host with variables, apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apart {
    /// What stands before the endpoint's name, with its variables: `{Bucket}.`; blank where nothing does.
    pub(super) front: String,
    /// `*.` and the endpoint's name where there is a front, else the whole host.
    pub(super) template: String,
}

/// Whether a variable stands for a region; it is spelt `{region}` then.
pub(super) fn is_region(variable: &str) -> bool {
    variable.eq_ignore_ascii_case("region") || variable.ends_with("#region")
}

/// Parts a host. `host` has its partition's suffix and `{region}` filled in as they are; all other variables are still
/// there. A label that begins with a fixed text and then varies within the endpoint's name (`s3express-{az}`) is noted in
/// `varying`. `None` where what is left wouldn't tell a service.
pub(super) fn apart(
    host: &str,
    partition: &Partition,
    varying: &mut BTreeSet<String>,
) -> Option<Apart> {
    let labels: Vec<&str> = host.split('.').collect();
    let mut cut = match labels.iter().rposition(|l| varies(l)) {
        // By what it begins with, a label of its own tells what the others don't.
        Some(0) if labels.first().is_some_and(|l| !l.starts_with('{')) => 0,
        Some(last) => last + 1,
        None => 0,
    };
    let mut kept = Vec::new();
    for label in labels.get(cut..)? {
        kept.push(fixed(label, varying)?);
    }
    while !tells(&kept, partition) {
        // The label before has to stay then, by what it begins with.
        cut = cut.checked_sub(1)?;
        kept.insert(0, fixed(labels.get(cut)?, varying)?);
    }
    let front: String = labels.get(..cut)?.iter().map(|l| plain(l) + ".").collect();
    let star = if front.is_empty() { "" } else { "*." };
    Some(Apart {
        front,
        template: format!("{star}{}", kept.join(".")),
    })
}

/// A label as templates spell it: what varies in it as `*`. `None` where nothing stands before that.
fn fixed(label: &str, varying: &mut BTreeSet<String>) -> Option<String> {
    if !varies(label) {
        return Some(label.to_owned());
    }
    let (beginning, _) = label.split_once('{')?;
    if beginning.is_empty() {
        return None;
    }
    varying.insert(beginning.to_owned());
    Some(format!("{beginning}*"))
}

fn varies(label: &str) -> bool {
    pieces(label)
        .iter()
        .any(|p| matches!(p, Piece::Variable(v) if !is_region(v)))
}

/// A label with its variables by their last names: `{bucketArn#accountId}` as `{accountId}`.
fn plain(label: &str) -> String {
    let piece = |p: &Piece<'_>| match p {
        Piece::Literal(text) => (*text).to_owned(),
        Piece::Variable(name) => {
            let last = name.rsplit_once('#').map_or(*name, |(_, last)| last);
            format!("{{{last}}}")
        }
    };
    pieces(label).iter().map(piece).collect()
}

/// Whether labels tell more than a region, a variant and a partition.
fn tells(labels: &[String], partition: &Partition) -> bool {
    let name = labels.join(".");
    let own = [&partition.dns_suffix, &partition.dual_stack_dns_suffix]
        .into_iter()
        .find_map(|suffix| name.strip_suffix(suffix.as_str()))
        .or_else(|| name.strip_suffix("on.aws"))
        .unwrap_or(&name);
    own.split('.')
        .any(|l| !matches!(l, "" | "{region}" | "dualstack"))
}

/// How a front that is written with the variables of a URL is written by their last names.
pub(super) fn by_last_names(front: &str) -> String {
    front.split('.').map(plain).collect::<Vec<_>>().join(".")
}

/// The more telling first: what names an account, then fixed texts, then single labels, then what takes anything.
pub(super) fn rank(front: &str, meaning: &Meaning) -> (u8, std::cmp::Reverse<usize>) {
    let accounts = front.contains("ccountId}");
    let rank = match meaning {
        Meaning::Bucket(_) if accounts => 0,
        Meaning::Prefix => 1,
        Meaning::Route | Meaning::Free => 2,
        Meaning::Bucket(_) => 3,
    };
    (rank, std::cmp::Reverse(front.len()))
}
