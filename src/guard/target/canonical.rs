//! From the caller's spelling of a thing to the one that it has everywhere, as far as that is known without asking.
//!
//! INVARIANT: an id is taken out of an ARN only where the ARN is of the call's own partition, region and account: elsewhere
//! the same id is another thing.

use std::collections::HashMap;

use super::{ParentId, Spelling, Target};
use crate::aws::catalog::model::{Naming, Service};
use crate::guard::facts::Place;

/// Longer than any spelling that AWS takes.
const SPELLING_BYTES_MAX: usize = 2048;

/// The targets as they are spelt everywhere, each once.
#[must_use]
pub(in crate::guard) fn canonical(
    service: &Service,
    targets: Vec<Target>,
    place: &Place,
) -> Vec<Target> {
    let mut known: HashMap<Spelt, usize> = HashMap::new();
    let mut found: Vec<Target> = Vec::new();
    for target in targets {
        let target = one(service, target, place);
        let spelt = (
            target.spelling.clone(),
            target.kind.clone(),
            target.parents.clone(),
        );
        let before = known.get(&spelt).and_then(|at| found.get_mut(*at));
        match before {
            Some(before) => {
                before.also.extend(target.also);
                before.loose |= target.loose;
            }
            None => {
                known.insert(spelt, found.len());
                found.push(target);
            }
        }
    }
    found
}

/// What makes two targets the same thing.
type Spelt = (Spelling, String, Vec<ParentId>);

fn one(service: &Service, mut target: Target, place: &Place) -> Target {
    let parents = std::mem::take(&mut target.parents);
    for parent in parents {
        let within = target.parents.last().map(|p| p.id.clone());
        let read = read(
            service.names.get(&parent.kind),
            &parent.id,
            within.as_deref(),
            place,
        );
        if let Read::Id { id, .. } = read {
            let kind = parent.kind;
            if id != parent.id {
                target.also.push(parent.id);
            }
            target.parents.push(ParentId { id, kind });
        } else {
            target.loose |= matches!(read, Read::Alias);
            target.parents.push(parent);
        }
    }
    let Some(naming) = service.names.get(&target.kind) else {
        return target;
    };
    let Spelling::Id(given) = &target.spelling else {
        return target;
    };
    for form in &naming.names {
        let found = parts(form, given).unwrap_or_default();
        let name = found.iter().find(|(name, _)| *name == "id");
        target.also.extend(name.map(|(_, name)| (*name).to_owned()));
    }
    let within = target.parents.last().map(|p| p.id.as_str());
    match read(Some(naming), given, within, place) {
        Read::Id { id, sure } => {
            target.loose &= !sure;
            if id != *given {
                target.also.push(given.clone());
            }
            let named = Names {
                id: &id,
                parent: within,
                place,
            };
            target.arn = naming.arn.as_deref().and_then(|arn| named.fill(arn));
            target.spelling = Spelling::Id(id);
        }
        Read::Alias => target.loose = true,
        Read::Elsewhere => {}
    }
    target
}

/// How names begin that are URLs.
const URL: &str = "https://";

/// What a spelling says.
enum Read {
    /// The id. `sure`: it stood in a form that nothing but this thing has.
    Id { id: String, sure: bool },
    /// A name behind which AWS finds the thing.
    Alias,
    /// A thing of another account or region, or no spelling that is known.
    Elsewhere,
}

fn read(naming: Option<&Naming>, given: &str, parent: Option<&str>, place: &Place) -> Read {
    let Some(naming) = naming.filter(|_| given.len() <= SPELLING_BYTES_MAX) else {
        return Read::Elsewhere;
    };
    if naming
        .aliases
        .iter()
        .any(|form| parts(form, given).is_some())
    {
        return Read::Alias;
    }
    let fold = |id: &str| {
        if naming.fold {
            id.to_ascii_lowercase()
        } else {
            id.to_owned()
        }
    };
    // The particular before the general: a log group's ARN may end in `:*`, which an id can't.
    for form in naming.forms.iter().chain(&naming.arn) {
        let Some(found) = parts(form, given) else {
            continue;
        };
        let value = |name: &str| found.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let own = |name: &str, own: &str| value(name).is_none_or(|value| value == own);
        let here = own("partition", &place.partition)
            && own("region", &place.region)
            && own("account", &place.account)
            && parent.is_none_or(|parent| own("parent", parent));
        return match value("id") {
            Some(id) if here => Read::Id {
                id: fold(id),
                sure: true,
            },
            Some(_) | None => Read::Elsewhere,
        };
    }
    if given.get(..4) == Some("arn:") {
        return Read::Elsewhere;
    }
    // What has a URL may be reached by more spellings of it than are known; an id is no part of a path.
    let by_url = naming.names.iter().any(|form| form.starts_with(URL));
    let is_known = naming.names.iter().any(|form| parts(form, given).is_some());
    if by_url && !is_known && given.contains(['/', ':']) {
        return Read::Alias;
    }
    Read::Id {
        id: fold(given),
        sure: false,
    }
}

/// What the variables of a form stand for.
struct Names<'n> {
    id: &'n str,
    parent: Option<&'n str>,
    place: &'n Place,
}

impl Names<'_> {
    fn fill(&self, form: &str) -> Option<String> {
        let template = crate::guard::knowledge::Template(form.to_owned());
        template.fill(|variable| {
            Some(
                match variable {
                    "id" | "id+" => self.id,
                    "parent" => self.parent?,
                    "partition" => &self.place.partition,
                    "region" => &self.place.region,
                    "account" => &self.place.account,
                    _ => return None,
                }
                .to_owned(),
            )
        })
    }
}

/// What a text says at the variables of a form that it has; `None` where it hasn't.
fn parts<'f, 't>(form: &'f str, text: &'t str) -> Option<Vec<(&'f str, &'t str)>> {
    let Some((before, rest)) = form.split_once('{') else {
        return (form == text).then(Vec::new);
    };
    let (variable, after) = rest.split_once('}')?;
    let text = text.strip_prefix(before)?;
    let (name, greedy) = match variable.strip_suffix('+') {
        Some(name) => (name, true),
        None => (variable, false),
    };
    let ends = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .skip(1);
    let fits = |end: usize| {
        let (value, rest) = text.split_at_checked(end)?;
        let plain = greedy || !value.contains(['/', ':']);
        let mut found = parts(after, rest).filter(|_| plain)?;
        found.insert(0, (name, value));
        Some(found)
    };
    // The longest that fits: a path before a name takes all the slashes but the last.
    let mut ends: Vec<usize> = match after.chars().next() {
        None => vec![text.len()],
        Some('{') => ends.collect(),
        Some(next) => ends
            .filter(|end| text.get(*end..).is_some_and(|rest| rest.starts_with(next)))
            .collect(),
    };
    ends.retain(|end| *end > 0);
    let longest = ends.into_iter().rev();
    longest.take(ENDS_MAX).find_map(fits)
}

/// How many ends of a variable are tried.
const ENDS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: &str, text: &str, expected: &str) {
        let found = parts(form, text).map_or_else(
            || "no".to_owned(),
            |found| {
                let found = found.iter().map(|(name, value)| format!("{name}={value}"));
                found.collect::<Vec<_>>().join(" ")
            },
        );
        assert_eq!(found, expected, "`{form}` on `{text}`");
    }

    #[test]
    fn a_form_is_read_to_its_end() {
        let instance = "arn:{partition}:ec2:{region}:{account}:instance/{id}";
        check(
            instance,
            "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
            "partition=aws region=eu-west-1 account=123456789012 id=i-1",
        );
        check(
            instance,
            "arn:aws:ec2:eu-west-1:123456789012:instance/",
            "no",
        );
        check(
            instance,
            "arn:aws:ec2:eu-west-1:123456789012:volume/v-1",
            "no",
        );
        check(
            instance,
            "arn:aws:ec2:eu-west-1:123456789012:instance/i-1/x",
            "no",
        );
        check(instance, "i-1", "no");
        check("{id}", "i-1", "id=i-1");
        check("{id}", "a/b", "no");
        check("{id+}", "a/b:c", "id=a/b:c");
        check("role/{path+}/{id}", "role/a/b/c", "path=a/b id=c");
        check("role/{id}", "role/a/b", "no");
        check(
            "{account}:function:{id}:{qualifier}",
            "1:function:f:7",
            "account=1 id=f qualifier=7",
        );
        check("alias/{name+}", "alias/a/b", "name=a/b");
        check("x:*", "x:*", "");
    }

    #[test]
    fn a_hostile_spelling_ends() {
        check("{a+}/{b+}/{c+}/{d+}:", &"/".repeat(2000), "no");
    }
}
