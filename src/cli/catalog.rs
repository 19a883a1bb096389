//! `palisade catalog`: makes a catalog from botocore's models, and shows what one knows.

mod botocore;
mod build;
mod cfn;
mod changes;
mod hosts;
mod progress;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::aws::catalog::Catalog;
use crate::guard::knowledge::Knowledge;
use crate::ruleset::served::Served;

pub(crate) use build::build;
pub(crate) use changes::{Change, What};
pub(crate) use hosts::{HostsArgs, hosts};

/// The rules that this version comes with.
const RULES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/classes.toml"));
const PLACES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/config/resources.toml"
));
const TYPES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/types.toml"));
const OWN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/own.toml"));
const ARNS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/arns.toml"));

/// What to do with a catalog.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Make a catalog from botocore's models, and say what changed
    Build(BuildArgs),
    /// Show what the catalog knows about a service or an operation
    Show(ShowArgs),
    /// Tell which AWS API a host name is of, and the region, account or bucket in it
    Hosts(HostsArgs),
}

/// `palisade catalog build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A botocore wheel (`pip download botocore --no-deps`), or the folder of an installed botocore
    #[arg(long, value_name = "PATH")]
    pub(crate) botocore: PathBuf,
    /// A cfn-lint wheel (`pip download cfn-lint --no-deps`), for CloudFormation's names of what operations are about; without
    /// it, each is called `service:Noun`
    #[arg(long, value_name = "PATH")]
    pub(crate) cfn: Option<PathBuf>,
    /// An older wheel, for the operations, routes and protocols that old SDKs still send; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) older: Vec<PathBuf>,
    /// A service to take the operations of, as the AWS CLI names it, or `all`; may be repeated [default: those of
    /// the embedded catalog]. The hosts of every service are in every catalog
    #[arg(long = "service", value_name = "ID")]
    pub(crate) services: Vec<String>,
    /// Where to write the catalog; without it, nothing is written and the report is all
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// List what changed and what is worth a look, not only how much
    #[arg(long)]
    pub(crate) details: bool,
    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `palisade catalog show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// `SERVICE`, or `SERVICE:OPERATION`; without it, every service is listed
    #[arg(value_name = "SERVICE[:OPERATION]")]
    pub(crate) what: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The classes of all operations, as JSON, for `palisade policy check --against` of another release
    #[arg(long, conflicts_with_all = ["what", "json"])]
    pub(crate) classes: bool,
}

/// What a catalog knows about a service or an operation, to print.
///
/// # Errors
/// Where it knows none of that name; the message names the nearest one.
pub(crate) fn show(
    args: &ShowArgs,
    catalog: &Catalog,
    knowledge: &Knowledge,
) -> anyhow::Result<String> {
    if args.classes {
        return Ok(Served::now(catalog, knowledge).text()?);
    }
    let what = args.what.as_deref();
    if args.json {
        let shown = show::json(catalog, knowledge, what)?;
        return Ok(format!("{}\n", serde_json::to_string_pretty(&shown)?));
    }
    show::text(catalog, knowledge, what)
}

#[cfg(test)]
mod tests;
