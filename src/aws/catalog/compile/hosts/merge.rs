//! What was seen of each host, as one entry for each template and group of partitions.

use std::collections::{BTreeMap, BTreeSet};

use super::listed::AnyRegion;
use super::{Notes, Seen, Templates, name, region_in, with_region};
use crate::aws::catalog::index::{Front, HostEntry, Partition, RegionSet};

/// A template, found or not, in one partition.
type Place = (String, usize);

/// One entry for each template and partition. A host that is said to be signed for a region of its own, or that stands for itself, is kept
/// beside its template only if the template says something else of it; it then names the template's services too.
pub(super) fn merge(
    seen: &BTreeSet<Seen>,
    partitions: &[Partition],
    any_region: &AnyRegion,
    notes: &mut Notes,
) -> Templates {
    let mut places: BTreeMap<Place, Vec<&Seen>> = BTreeMap::new();
    for one in seen {
        let place = (one.template.clone(), one.partition);
        places.entry(place).or_default().push(one);
    }
    let found: BTreeMap<Place, HostEntry> = places
        .into_iter()
        .map(|(place, ways)| {
            let mut entry = entry(&place, &ways, notes);
            entry.any_region = any_region.contains(&place);
            (place, entry)
        })
        .collect();
    let mut templates = Templates::new();
    for ((template, at), entry) in &found {
        let Some(partition) = partitions.get(*at) else {
            continue;
        };
        let mut entry = entry.clone();
        let general = region_in(template, partition).map(|region| with_region(template, region));
        if let Some(general) = general.and_then(|t| found.get(&(t, *at))) {
            let adds = entry.services.iter().any(|s| !general.services.contains(s));
            if !adds && entry.region.is_none() {
                continue;
            }
            entry.services.extend(&general.services);
            entry.services.sort_unstable();
            entry.services.dedup();
        }
        let entries = templates
            .entry(with_suffix(template, partition))
            .or_default();
        let anywhere = |e: &HostEntry| HostEntry {
            partitions: Vec::new(),
            ..e.clone()
        };
        let own = anywhere(&entry);
        match entries.iter_mut().find(|e| anywhere(e) == own) {
            Some(alike) => alike.partitions.push(*at),
            None => entries.push(entry),
        }
    }
    for entries in templates.values_mut() {
        entries
            .iter_mut()
            .for_each(|e| e.partitions.sort_unstable());
        entries.sort_by(|a, b| a.partitions.cmp(&b.partitions));
    }
    templates
}

/// One host from all the ways in which it was seen.
fn entry((template, at): &Place, ways: &[&Seen], notes: &mut Notes) -> HostEntry {
    let services: BTreeSet<usize> = ways.iter().filter_map(|w| w.service).collect();
    let fronts: BTreeSet<&Front> = ways.iter().filter_map(|w| w.front.as_ref()).collect();
    let mut fronts: Vec<Front> = fronts.into_iter().cloned().collect();
    fronts.sort_by_key(|f| name::rank(&f.text, &f.meaning));
    // A fixed text in front of one service's name can be another's own name: then it says nothing of the call.
    let own = !template.starts_with('*') && ways.iter().any(|w| w.front.is_none() && !w.alias);
    if own && !fronts.is_empty() {
        fronts.clear();
    }
    let names: BTreeSet<&String> = ways
        .iter()
        .filter_map(|w| w.signing_name.as_ref())
        .collect();
    if names.len() > 1 {
        notes
            .hosts_left_out
            .push(format!("`{template}` is signed for several services"));
    }
    let all = |is: fn(&Seen) -> bool| ways.iter().all(|w| is(w));
    let known = |w: &&&Seen| w.by_rules || ways.iter().all(|w| !w.by_rules);
    let said = |is: fn(&Seen) -> bool| ways.iter().filter(known).all(|w| is(w));
    HostEntry {
        partitions: vec![*at],
        services: services.into_iter().collect(),
        region: ways.iter().find_map(|w| w.region.clone()),
        // What only some of the ways say isn't so of the host.
        fips: said(|w| w.fips),
        dualstack: said(|w| w.dualstack),
        any_region: false,
        signing_name: names.first().map(|n| (*n).clone()),
        region_set: if all(|w| w.region_set == RegionSet::Never) {
            RegionSet::Never
        } else if all(|w| w.region_set == RegionSet::Only) {
            RegionSet::Only
        } else {
            RegionSet::Also
        },
        fronts,
    }
}

/// A template with its partition's suffix as `{dns}` or `{dual}`.
fn with_suffix(template: &str, partition: &Partition) -> String {
    let cut = |suffix: &str| {
        template
            .strip_suffix(suffix)
            .filter(|stem| stem.ends_with('.'))
    };
    if let Some(stem) = cut(&partition.dns_suffix) {
        format!("{stem}{{dns}}")
    } else if let Some(stem) = cut(&partition.dual_stack_dns_suffix) {
        format!("{stem}{{dual}}")
    } else {
        template.to_owned()
    }
}
