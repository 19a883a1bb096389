//! `palisade catalog`: makes a catalog from botocore's models, and shows what one knows.

mod botocore;
mod changes;
mod show;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::aws::catalog::compile::{self, Models, Notes, Rules};
use crate::aws::catalog::{Catalog, Service, file};
use crate::aws::nearest::nearest;
use botocore::Botocore;
use changes::Report;

/// The rules that this version comes with.
const RULES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/classes.toml"));

/// What to do with a catalog.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Make a catalog from botocore's models, and say what changed
    Build(BuildArgs),
    /// Show what the catalog knows about a service or an operation
    Show(ShowArgs),
}

/// `palisade catalog build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A botocore wheel (`pip download botocore --no-deps`), or the folder of an installed botocore
    #[arg(long, value_name = "PATH")]
    pub(crate) botocore: PathBuf,
    /// A service to take the operations of, as the AWS CLI names it, or `all`; may be repeated [default: those of
    /// the embedded catalog]. The hosts of every service are in every catalog
    #[arg(long = "service", value_name = "ID")]
    pub(crate) services: Vec<String>,
    /// Where to write the catalog; without it, nothing is written and the report is all
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `palisade catalog show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// `SERVICE`, or `SERVICE:OPERATION`
    #[arg(value_name = "SERVICE[:OPERATION]")]
    pub(crate) what: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Makes a catalog, writes it where asked, and returns the report to print.
///
/// # Errors
/// Where the package can't be read, a service isn't in it, the rules don't fit the models, or the file can't be written.
pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<String> {
    let rules = Rules::parse(RULES).context("config/classes.toml")?;
    let mut package = Botocore::open(&args.botocore)?;
    let common = package.common()?;
    let before = Catalog::embedded();
    let wanted = wanted(args, &package, before.as_ref().ok())?;
    let mut notes = Notes::default();
    let ids: Vec<String> = package.services().map(str::to_owned).collect();
    let mut all = Vec::with_capacity(ids.len());
    let mut services = Vec::with_capacity(wanted.len());
    for id in ids {
        let mut models = package
            .models(&id)
            .with_context(|| format!("service `{id}`"))?;
        if wanted.contains(&id) {
            services.push(compile::service(&models, &rules, &mut notes)?);
        }
        forget_shapes(&mut models);
        all.push(models);
    }
    let index = compile::index(&common, &all, &mut notes)?;
    let hosts = index.hosts.len();
    let bytes = file::write(index, &services)?;
    let mut report = Report {
        version: common.version,
        before: before.as_ref().ok().map(|c| c.version().to_owned()),
        services: services.len(),
        operations: services.iter().map(|s| s.operations.len()).sum(),
        hosts,
        bytes: bytes.len(),
        changes: Vec::new(),
        unlisted: Vec::new(),
        readonly_but: Vec::new(),
        nameless: Vec::new(),
        hosts_left_out: Vec::new(),
    };
    if let Ok(before) = &before {
        report.changes = compare(before, &services)?;
    }
    report.note(notes);
    // What was built is read back before anybody gets it.
    Catalog::from_bytes(bytes.clone())?;
    if let Some(out) = &args.out {
        write(out, &bytes)?;
    }
    if args.json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&report)?));
    }
    Ok(report.to_string())
}

/// What a catalog knows about a service or an operation, to print.
///
/// # Errors
/// Where it knows none of that name; the message names the nearest one.
pub(crate) fn show(args: &ShowArgs, catalog: &Catalog) -> anyhow::Result<String> {
    if args.json {
        let shown = show::json(catalog, &args.what)?;
        return Ok(format!("{}\n", serde_json::to_string_pretty(&shown)?));
    }
    show::text(catalog, &args.what)
}

fn wanted(
    args: &BuildArgs,
    package: &Botocore,
    before: Option<&Catalog>,
) -> anyhow::Result<Vec<String>> {
    if args.services.iter().any(|s| s == "all") {
        return Ok(package.services().map(str::to_owned).collect());
    }
    for id in &args.services {
        if package.services().all(|s| s != id) {
            match nearest(id, package.services()) {
                Some(near) => bail!("botocore has no service `{id}`; did you mean `{near}`?"),
                None => bail!("botocore has no service `{id}`"),
            }
        }
    }
    if !args.services.is_empty() {
        return Ok(args.services.clone());
    }
    match before {
        Some(before) => Ok(before.service_ids().map(str::to_owned).collect()),
        None => bail!("the embedded catalog can't be read; name the services with `--service`"),
    }
}

fn compare(before: &Catalog, services: &[Service]) -> anyhow::Result<Vec<changes::Change>> {
    let mut found = Vec::new();
    for service in services {
        let old = before.service(&service.id)?;
        found.extend(changes::between(old.as_deref(), service));
    }
    Ok(found)
}

/// The shapes of all services together take much memory, and the index doesn't need them.
fn forget_shapes(models: &mut Models) {
    if let Some(model) = models.service.as_object_mut() {
        model.remove("shapes");
    }
}

fn write(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut beside = out.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, bytes).with_context(|| format!("can't write `{}`", beside.display()))?;
    fs::rename(&beside, out).with_context(|| format!("can't write `{}`", out.display()))
}

#[cfg(test)]
mod tests;
