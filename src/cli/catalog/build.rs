//! Makes a catalog: botocore's models, and what older releases of it add, in; one file out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::botocore::Botocore;
use super::changes::{self, Report};
use super::progress::{Progress, Reader};
use super::{ARNS, BuildArgs, OWN, PLACES, RULES, TYPES, cfn};
use crate::aws::catalog::compile::{
    self, Common, Data, Models, Names, Notes, Own, Places, Rules, Schema, Types,
};
use crate::aws::catalog::{Catalog, Service, file};
use crate::aws::nearest::nearest;

/// An older release of botocore.
struct Older {
    package: Botocore,
    /// `botocore-1.34.162`.
    release: String,
}

/// Makes a catalog, writes it where asked, and returns the report to print.
///
/// # Errors
/// Where a package can't be read, a service isn't in any, the rules don't fit the models, or the file can't be written.
pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<String> {
    let schemas = match &args.cfn {
        Some(path) => cfn::schemas(path)?,
        None => Vec::new(),
    };
    let data = data(&schemas)?;
    let mut package = Botocore::open(&args.botocore)?;
    let common = package.common()?;
    let olders = olders(&args.older, &common)?;
    let before = Catalog::embedded();
    let mut building = Building {
        data,
        notes: Notes::default(),
        progress: Progress::new(if args.json {
            Reader::Program
        } else {
            Reader::Person
        }),
        services: Vec::new(),
        all: BTreeMap::new(),
        added: changes::Older::default(),
    };
    let there = package
        .services()
        .chain(olders.iter().flat_map(|o| o.package.services()));
    let there: BTreeSet<String> = there.map(str::to_owned).collect();
    let wanted = wanted(args, &there, before.as_ref().ok())?;
    building.today(&mut package, &common.version, &wanted)?;
    let releases: Vec<String> = olders.iter().map(|o| o.release.clone()).collect();
    for older in olders {
        building.older(older, &wanted)?;
    }
    let Building {
        mut notes,
        progress,
        mut services,
        all,
        added,
        ..
    } = building;
    progress.step("packing");
    services.sort_by(|a, b| a.id.cmp(&b.id));
    let models: Vec<Models> = all.into_values().collect();
    compile::fold(&mut services, &models, &common.hosts);
    let mut index = compile::index(&common, &models, &mut notes)?;
    index.older = releases;
    let hosts = index.hosts.len();
    let bytes = file::write(index, &services)?;
    progress.done();
    // What was built is read back before anybody gets it.
    Catalog::from_bytes(bytes.clone())?;
    let mut report = Report {
        version: common.version,
        before: before.as_ref().ok().map(|c| c.version().to_owned()),
        services: services.len(),
        operations: services.iter().map(|s| s.operations.len()).sum(),
        hosts,
        bytes: bytes.len(),
        older: added,
        ..Report::default()
    };
    if let Ok(before) = &before {
        report.changes = compare(before, &services)?;
    }
    report.note(notes);
    if let Some(out) = &args.out {
        write(out, &bytes)?;
    }
    if args.json {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&report)?));
    }
    Ok(report.text(args.details))
}

/// What this version knows beside the models.
fn data(schemas: &[Schema]) -> anyhow::Result<Data> {
    Ok(Data {
        rules: Rules::parse(RULES).context("config/classes.toml")?,
        places: Places::parse(PLACES).context("config/resources.toml")?,
        types: Types::new(TYPES, schemas).context("config/types.toml")?,
        names: Names::parse(ARNS).context("config/arns.toml")?,
        own: Own::parse(OWN).context("config/own.toml")?,
    })
}

/// The older packages, newest first.
fn olders(paths: &[PathBuf], common: &Common) -> anyhow::Result<Vec<Older>> {
    let mut olders = Vec::with_capacity(paths.len());
    for path in paths {
        let mut package = Botocore::open(path)?;
        let release = package.release()?;
        if numbers(&release) >= numbers(&common.version) {
            bail!(
                "`{}` is {release}, which isn't older than {}",
                path.display(),
                common.version
            );
        }
        olders.push(Older { package, release });
    }
    olders.sort_by_key(|older| std::cmp::Reverse(numbers(&older.release)));
    Ok(olders)
}

/// `botocore-1.34.162` as 1, 34, 162.
fn numbers(release: &str) -> Vec<u64> {
    let numbers = release.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|n| n.parse().ok()).collect()
}

/// A catalog in the making.
struct Building {
    data: Data,
    notes: Notes,
    progress: Progress,
    services: Vec<Service>,
    /// The models of every service without their shapes, which take much memory and which the index doesn't need.
    all: BTreeMap<String, Models>,
    added: changes::Older,
}

impl Building {
    fn today(
        &mut self,
        package: &mut Botocore,
        release: &str,
        wanted: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let ids: Vec<String> = package.services().map(str::to_owned).collect();
        for (at, id) in ids.iter().enumerate() {
            self.progress.of(release, id, at, ids.len());
            let mut models = models(package, id)?;
            self.data.own.add_to(&mut models)?;
            if wanted.contains(id) {
                let service = compile::service(&models, &self.data, &mut self.notes)?;
                self.services.push(service);
            }
            self.keep(models);
        }
        let own: Vec<Models> = self.data.own.services().collect();
        for models in own {
            let service = compile::service(&models, &self.data, &mut self.notes)?;
            self.services.push(service);
            self.keep(models);
        }
        Ok(())
    }

    fn older(&mut self, older: Older, wanted: &BTreeSet<String>) -> anyhow::Result<()> {
        let Older {
            mut package,
            release,
        } = older;
        let ids: Vec<String> = package.services().map(str::to_owned).collect();
        for (at, id) in ids.iter().enumerate() {
            self.progress.of(&release, id, at, ids.len());
            let is_gone = !self.all.contains_key(id);
            if !is_gone && !wanted.contains(id) {
                continue;
            }
            let models = models(&mut package, id)?;
            self.add(id, &models, &release, is_gone && wanted.contains(id))
                .with_context(|| format!("{release}, service `{id}`"))?;
            if is_gone {
                self.keep(models);
            }
        }
        Ok(())
    }

    /// Adds what an older model has and the services haven't.
    fn add(
        &mut self,
        id: &str,
        models: &Models,
        release: &str,
        is_gone: bool,
    ) -> anyhow::Result<()> {
        if is_gone {
            let service = compile::gone(models, release, &self.data, &mut self.notes)?;
            self.added.services.push(id.to_owned());
            self.services.push(service);
            return Ok(());
        }
        let Some(service) = self.services.iter_mut().find(|s| s.id == id) else {
            return Ok(());
        };
        let spoken = service.protocols.len();
        let added = compile::add_older(service, models, release, &self.data, &mut self.notes)?;
        let named = |name: &String| format!("{id}:{name}");
        self.added.operations.extend(added.gone.iter().map(named));
        self.added.forms.extend(added.forms.iter().map(named));
        if service.protocols.len() > spoken {
            self.added.protocols.push(id.to_owned());
        }
        Ok(())
    }

    fn keep(&mut self, mut models: Models) {
        if let Some(model) = models.service.as_object_mut() {
            model.remove("shapes");
        }
        self.all.insert(models.id.clone(), models);
    }
}

fn models(package: &mut Botocore, id: &str) -> anyhow::Result<Models> {
    package
        .models(id)
        .with_context(|| format!("service `{id}`"))
}

/// The services whose operations are asked for.
fn wanted(
    args: &BuildArgs,
    there: &BTreeSet<String>,
    before: Option<&Catalog>,
) -> anyhow::Result<BTreeSet<String>> {
    if args.services.iter().any(|s| s == "all") {
        return Ok(there.clone());
    }
    let mut named = args.services.iter();
    if let Some(id) = named.find(|id| !there.contains(*id)) {
        match nearest(id, there.iter().map(String::as_str)) {
            Some(near) => bail!("botocore has no service `{id}`; did you mean `{near}`?"),
            None => bail!("botocore has no service `{id}`"),
        }
    }
    if !args.services.is_empty() {
        return Ok(args.services.iter().cloned().collect());
    }
    let Some(before) = before else {
        bail!("the embedded catalog can't be read; name the services with `--service`")
    };
    let all = before.service_ids().eq(before.known_ids());
    let embedded = before.service_ids().map(str::to_owned);
    Ok(if all {
        there.clone()
    } else {
        embedded.filter(|id| there.contains(id)).collect()
    })
}

fn compare(before: &Catalog, services: &[Service]) -> anyhow::Result<Vec<changes::Change>> {
    let mut found = Vec::new();
    for service in services {
        let old = before.service(&service.id)?;
        found.extend(changes::between(old.as_deref(), Some(service)));
    }
    for id in before.service_ids() {
        if services.iter().all(|s| s.id != id) {
            let old = before.service(id)?;
            found.extend(changes::between(old.as_deref(), None));
        }
    }
    Ok(found)
}

fn write(out: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut beside = out.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, bytes).with_context(|| format!("can't write `{}`", beside.display()))?;
    fs::rename(&beside, out).with_context(|| format!("can't write `{}`", out.display()))
}
