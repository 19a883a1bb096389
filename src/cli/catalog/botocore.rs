//! Reads botocore's models from a wheel or an installed package.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use serde_json::Value;
use zip::ZipArchive;

use crate::aws::catalog::compile::{Common, HostFacts, Models};

/// What this version knows of hosts beside the package.
const HOSTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/hosts.toml"));

/// More than any file of the package has.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The botocore package, open for reading.
#[derive(Debug)]
pub(super) struct Botocore {
    files: Files,
    /// The newest version folder of each service, by service.
    services: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Files {
    Wheel(Box<ZipArchive<BufReader<File>>>),
    /// The folder that holds `__init__.py` and `data`.
    Folder(PathBuf),
}

impl Botocore {
    /// Opens a wheel, or a package folder (`site-packages/botocore`, or the folder above it).
    ///
    /// # Errors
    /// Where there is neither, or no service in it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let files = if path.is_dir() {
            let inner = path.join("botocore");
            Files::Folder(if inner.join("data").is_dir() {
                inner
            } else {
                path.to_owned()
            })
        } else {
            let file =
                File::open(path).with_context(|| format!("can't open `{}`", path.display()))?;
            let wheel = ZipArchive::new(BufReader::new(file)).with_context(|| {
                format!(
                    "`{}` is not a wheel; `pip download botocore --no-deps` fetches one",
                    path.display()
                )
            })?;
            Files::Wheel(Box::new(wheel))
        };
        let services = files.services()?;
        if services.is_empty() {
            bail!(
                "`{}` holds no service models; pass a botocore wheel or the installed package's folder",
                path.display()
            );
        }
        Ok(Self { files, services })
    }

    /// The services, by their folders.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// What all services share.
    ///
    /// # Errors
    /// Where a file is missing or isn't JSON.
    pub(super) fn common(&mut self) -> anyhow::Result<Common> {
        Ok(Common {
            version: self.release()?,
            partitions: self.need("data/partitions.json")?,
            endpoints: self.need("data/endpoints.json")?,
            hosts: HostFacts::parse(HOSTS).context("config/hosts.toml")?,
        })
    }

    /// The package's release: `botocore-1.44.5`.
    ///
    /// # Errors
    /// Where the package doesn't say.
    pub(super) fn release(&mut self) -> anyhow::Result<String> {
        let init = self
            .files
            .read("__init__.py")?
            .context("the package has no `__init__.py`")?;
        let init = String::from_utf8_lossy(&init);
        let version = init
            .lines()
            .find_map(|l| l.strip_prefix("__version__"))
            .map(|l| l.trim_matches([' ', '=', '\'', '"']))
            .context("the package's `__init__.py` says no version")?;
        Ok(format!("botocore-{version}"))
    }

    /// The models of one service, of its newest version.
    ///
    /// # Errors
    /// Where a file is missing or isn't JSON.
    pub(super) fn models(&mut self, id: &str) -> anyhow::Result<Models> {
        let version = self
            .services
            .get(id)
            .with_context(|| format!("no service `{id}`"))?;
        let folder = format!("data/{id}/{version}");
        Ok(Models {
            id: id.to_owned(),
            service: self.need(&format!("{folder}/service-2.json"))?,
            endpoints: self.json(&format!("{folder}/endpoint-rule-set-1.json"))?,
        })
    }

    fn need(&mut self, name: &str) -> anyhow::Result<Value> {
        self.json(name)?
            .with_context(|| format!("the package has no `{name}`"))
    }

    /// A JSON file, compressed or not; `None` where there is none.
    fn json(&mut self, name: &str) -> anyhow::Result<Option<Value>> {
        let plain = match self.files.read(&format!("{name}.gz"))? {
            Some(packed) => {
                let mut plain = Vec::new();
                bounded(GzDecoder::new(packed.as_slice()), &mut plain)
                    .with_context(|| format!("can't decompress `{name}.gz`"))?;
                Some(plain)
            }
            None => self.files.read(name)?,
        };
        plain
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .with_context(|| format!("`{name}` is not JSON"))
    }
}

impl Files {
    fn services(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for (service, version) in self.versions()? {
            let newest = found.entry(service).or_default();
            if version > *newest {
                *newest = version;
            }
        }
        Ok(found)
    }

    /// Each folder that holds a service model: service and version.
    fn versions(&self) -> anyhow::Result<BTreeSet<(String, String)>> {
        match self {
            Files::Wheel(wheel) => Ok(wheel
                .file_names()
                .filter_map(Result::ok)
                .filter_map(|name| {
                    let mut steps = name.strip_prefix("botocore/data/")?.split('/');
                    let (service, version, file) = (steps.next()?, steps.next()?, steps.next()?);
                    is_model(file).then(|| (service.to_owned(), version.to_owned()))
                })
                .collect()),
            Files::Folder(folder) => {
                let mut found = BTreeSet::new();
                for service in folders(&folder.join("data"))? {
                    for version in folders(&folder.join("data").join(&service))? {
                        let inside = folder.join("data").join(&service).join(&version);
                        if ["service-2.json", "service-2.json.gz"]
                            .iter()
                            .any(|f| inside.join(f).is_file())
                        {
                            found.insert((service.clone(), version));
                        }
                    }
                }
                Ok(found)
            }
        }
    }

    /// A file of the package; `None` where there is none.
    fn read(&mut self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match self {
            Files::Wheel(wheel) => {
                let Ok(file) = wheel.by_name(&format!("botocore/{name}")) else {
                    return Ok(None);
                };
                bounded(file, &mut bytes).with_context(|| format!("can't read `{name}`"))?;
            }
            Files::Folder(folder) => {
                let path = folder.join(name);
                if !path.is_file() {
                    return Ok(None);
                }
                let file = File::open(&path)
                    .with_context(|| format!("can't open `{}`", path.display()))?;
                bounded(file, &mut bytes)
                    .with_context(|| format!("can't read `{}`", path.display()))?;
            }
        }
        Ok(Some(bytes))
    }
}

fn is_model(file: &str) -> bool {
    matches!(file, "service-2.json" | "service-2.json.gz")
}

fn folders(path: &Path) -> anyhow::Result<Vec<String>> {
    let entries =
        std::fs::read_dir(path).with_context(|| format!("can't list `{}`", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("can't list `{}`", path.display()))?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

fn bounded(from: impl Read, into: &mut Vec<u8>) -> anyhow::Result<()> {
    let read = from.take(FILE_BYTES_MAX).read_to_end(into)?;
    if u64::try_from(read)? == FILE_BYTES_MAX {
        bail!("it has more than {FILE_BYTES_MAX} bytes");
    }
    Ok(())
}
