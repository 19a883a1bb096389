//! The URLs of a rule set that need more parameters than an evaluation sets: an account, a bucket, a stream.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::json::{items, text};
use super::super::ruleset::{Piece, pieces, schemes};
use super::{Making, Seen, host_of, name};
use crate::aws::catalog::index::{Front, Meaning, Partition};

/// Adds the hosts of such URLs. Gives back those that no template can hold.
pub(super) fn urls(
    making: &Making<'_>,
    set: &Value,
    seen: &mut BTreeSet<Seen>,
    varying: &mut BTreeSet<String>,
) -> BTreeSet<String> {
    let mut walk = Walk {
        making,
        seen,
        varying,
        left_out: BTreeSet::new(),
    };
    walk.rules(set, &Path::default());
    walk.left_out
}

struct Walk<'a, 'm> {
    making: &'a Making<'m>,
    seen: &'a mut BTreeSet<Seen>,
    varying: &'a mut BTreeSet<String>,
    left_out: BTreeSet<String>,
}

/// What the conditions on the way to a rule say.
#[derive(Debug, Clone, Default)]
struct Path {
    fips: bool,
    dualstack: bool,
    /// The partition that is asked for by name.
    partition: Option<String>,
    /// Whether the caller brings the endpoint: no host of AWS's.
    brought: bool,
}

impl Walk<'_, '_> {
    fn rules(&mut self, parent: &Value, path: &Path) {
        for rule in items(parent, "rules") {
            let mut path = path.clone();
            for condition in items(rule, "conditions") {
                path.learn(condition);
            }
            if path.brought {
                continue;
            }
            if let Some((url, endpoint)) = rule
                .get("endpoint")
                .and_then(|e| Some((text(e, "url")?, e)))
            {
                self.url(url, endpoint, &path);
            }
            self.rules(rule, &path);
        }
    }

    fn url(&mut self, url: &str, endpoint: &Value, path: &Path) {
        let Some(host) = host_of(url) else {
            return;
        };
        let parts = pieces(&host);
        let more =
            |p: &Piece<'_>| matches!(p, Piece::Variable(v) if *v != "Region" && !is_suffix(v));
        if !parts.iter().any(more) {
            return;
        }
        let (signing_name, region_set) = schemes(endpoint);
        for (at, partition) in self.making.partitions.iter().enumerate() {
            let asked = path.partition.as_ref();
            if asked.is_some_and(|id| *id != partition.id) {
                continue;
            }
            for host in self.filled(&parts, partition) {
                let Some(apart) = name::apart(&host, partition, self.varying) else {
                    self.left_out.insert(url.to_owned());
                    continue;
                };
                self.seen.insert(Seen {
                    fips: path.fips,
                    dualstack: path.dualstack,
                    signing_name: self.making.other_name(signing_name),
                    region_set,
                    front: (!apart.front.is_empty()).then(|| self.front(url, apart.front)),
                    ..self.making.seen(apart.template, at)
                });
            }
        }
    }

    fn front(&self, url: &str, own: String) -> Front {
        let begins = |beginning: &str| {
            url.strip_prefix("https://")
                .is_some_and(|rest| rest.starts_with(beginning))
        };
        let mut buckets = self.making.facts.bucket.iter();
        if let Some(rule) = buckets.find(|b| begins(&b.url)) {
            return Front {
                text: rule.front.clone().unwrap_or(own),
                meaning: Meaning::Bucket(rule.bucket.clone()),
            };
        }
        let meaning = if self.making.is_prefix(&own) {
            Meaning::Prefix
        } else {
            Meaning::Route
        };
        Front { text: own, meaning }
    }

    /// The hosts of a URL with its region as `{region}`, and values that its partition and operations fix filled in.
    fn filled(&self, parts: &[Piece<'_>], partition: &Partition) -> BTreeSet<String> {
        let mut hosts = BTreeSet::from([String::new()]);
        for part in parts {
            let values = self.values(*part, partition);
            hosts = hosts
                .iter()
                .flat_map(|host| values.iter().map(move |v| format!("{host}{v}")))
                .collect();
        }
        hosts
    }

    fn values(&self, part: Piece<'_>, partition: &Partition) -> BTreeSet<String> {
        let variable = match part {
            Piece::Literal(text) => return BTreeSet::from([text.to_owned()]),
            Piece::Variable(variable) => variable,
        };
        let one = if name::is_region(variable) {
            "{region}"
        } else if variable.ends_with("#dnsSuffix") {
            &partition.dns_suffix
        } else if variable.ends_with("#dualStackDnsSuffix") {
            &partition.dual_stack_dns_suffix
        } else if variable.ends_with("#implicitGlobalRegion") {
            &partition.global_region
        } else {
            let fixed: BTreeSet<String> = self
                .making
                .statics
                .iter()
                .filter_map(|(set, _)| set.get(variable).and_then(Value::as_str))
                .map(str::to_owned)
                .collect();
            if !fixed.is_empty() {
                return fixed;
            }
            return BTreeSet::from([format!("{{{variable}}}")]);
        };
        BTreeSet::from([one.to_owned()])
    }
}

impl Path {
    fn learn(&mut self, condition: &Value) {
        let argv: Vec<&Value> = items(condition, "argv").collect();
        let names = |v: &Value, name: &str| text(v, "ref") == Some(name);
        match (text(condition, "fn"), argv.as_slice()) {
            (Some("isSet" | "parseURL"), [what]) => self.brought |= names(what, "Endpoint"),
            (Some("booleanEquals"), [what, value]) if value.as_bool() == Some(true) => {
                self.fips |= names(what, "UseFIPS");
                self.dualstack |= names(what, "UseDualStack");
            }
            (Some("stringEquals"), [what, value]) => {
                let named = value.as_str().filter(|v| !v.contains('{'));
                if items(what, "argv").any(|a| a.as_str() == Some("name")) && named.is_some() {
                    self.partition = named.map(str::to_owned);
                }
            }
            (Some(_) | None, _) => {}
        }
    }
}

fn is_suffix(variable: &str) -> bool {
    variable.ends_with("#dnsSuffix") || variable.ends_with("#dualStackDnsSuffix")
}
