//! `palisade catalog hosts`: which API a host is, as the guard takes it.

use std::fmt::Write as _;
use std::io::BufRead as _;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::aws::catalog::Catalog;
use crate::aws::catalog::index::RegionSet;
use crate::aws::endpoint::{Addressed, Endpoint, Resolved};
use crate::aws::host::Host;

/// `palisade catalog hosts`.
#[derive(Debug, Args)]
pub(crate) struct HostsArgs {
    /// Hosts to tell about; without any, one a line from standard input
    #[arg(value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// A JSON object for each
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a host is, to print.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    host: &'a str,
    /// `api`, `unmodelled`, `foreign` or `invalid`.
    kind: &'static str,
    #[serde(flatten)]
    endpoint: Option<ShownEndpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownEndpoint {
    services: Vec<String>,
    partition: String,
    region: String,
    any_region: bool,
    /// The service of the credential scope, by service.
    signing_names: Vec<String>,
    region_set: RegionSet,
    fips: bool,
    dualstack: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
}

/// Tells of each host which API it is.
///
/// # Errors
/// Where standard input or the catalog can't be read.
pub(crate) fn hosts(args: &HostsArgs, catalog: &Catalog) -> anyhow::Result<String> {
    let read: Vec<String>;
    let hosts = if args.hosts.is_empty() {
        let lines = std::io::stdin().lock().lines();
        read = lines.collect::<Result<_, _>>().context("standard input")?;
        &read
    } else {
        &args.hosts
    };
    let mut out = String::new();
    for host in hosts.iter().map(|h| h.trim()).filter(|h| !h.is_empty()) {
        let shown = shown(host, catalog)?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&shown)?)?;
        } else {
            line(&mut out, &shown)?;
        }
    }
    Ok(out)
}

fn shown<'a>(host: &'a str, catalog: &Catalog) -> anyhow::Result<Shown<'a>> {
    let told = |kind| Shown {
        host,
        kind,
        endpoint: None,
        error: None,
    };
    let parsed = match Host::parse(host) {
        Ok(parsed) => parsed,
        Err(error) => {
            return Ok(Shown {
                error: Some(error.to_string()),
                ..told("invalid")
            });
        }
    };
    Ok(match catalog.resolve(&parsed) {
        Resolved::Unmodelled => told("unmodelled"),
        Resolved::Foreign => told("foreign"),
        Resolved::Api(endpoint) => Shown {
            endpoint: Some(of(endpoint, catalog)?),
            ..told("api")
        },
    })
}

fn of(endpoint: Endpoint, catalog: &Catalog) -> anyhow::Result<ShownEndpoint> {
    let mut signing_names = Vec::new();
    for id in &endpoint.services {
        if let Some(service) = catalog.service(id)? {
            let name = endpoint.signing_name(&service).to_owned();
            if !signing_names.contains(&name) {
                signing_names.push(name);
            }
        }
    }
    let (bucket, prefix) = match endpoint.addressed {
        Addressed::Service => (None, None),
        Addressed::Prefix(prefix) => (None, Some(prefix)),
        Addressed::Bucket(bucket) => (Some(bucket), None),
    };
    Ok(ShownEndpoint {
        services: endpoint.services,
        partition: endpoint.partition,
        region: endpoint.region,
        any_region: endpoint.any_region,
        signing_names,
        region_set: endpoint.region_set,
        fips: endpoint.fips,
        dualstack: endpoint.dualstack,
        bucket,
        prefix,
        route: endpoint.route,
    })
}

fn line(out: &mut String, shown: &Shown<'_>) -> std::fmt::Result {
    let Shown {
        host,
        kind,
        endpoint,
        error,
    } = shown;
    let Some(endpoint) = endpoint else {
        let said = match (*kind, error) {
            (_, Some(error)) => error.as_str(),
            ("unmodelled", None) => {
                "AWS's, without an API that is understood: refused unless `egress.allow` names it"
            }
            (_, None) => {
                "not AWS's: `egress.other_hosts` and `egress.allow` say what becomes of it"
            }
        };
        return writeln!(out, "{host}\t{said}");
    };
    write!(out, "{host}\t{}", endpoint.services.join(", "))?;
    write!(out, " in {} ({})", endpoint.region, endpoint.partition)?;
    write!(out, ", signed for {}", endpoint.signing_names.join(", "))?;
    if endpoint.any_region {
        write!(out, " and any region")?;
    }
    match endpoint.region_set {
        RegionSet::Never => {}
        RegionSet::Also => write!(out, ", SigV4a too")?,
        RegionSet::Only => write!(out, ", SigV4a only")?,
    }
    for (is, what) in [(endpoint.fips, "FIPS"), (endpoint.dualstack, "dual stack")] {
        if is {
            write!(out, ", {what}")?;
        }
    }
    for (what, value) in [
        ("bucket", &endpoint.bucket),
        ("host prefix", &endpoint.prefix),
        ("led to", &endpoint.route),
    ] {
        if let Some(value) = value {
            write!(out, ", {what} {value}")?;
        }
    }
    writeln!(out)
}
