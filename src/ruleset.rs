//! What decisions are made by, read from the configuration: catalog, service files, policies, protected list.
//!
//! INVARIANT: a set is whole or refused; nothing of it is skipped.

pub mod served;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cedar_policy::Effect;

use crate::aws::catalog::file::FILE_BYTES_MAX;
use crate::aws::catalog::{Catalog, CatalogError};
use crate::aws::endpoint::VpcEndpointError;
use crate::aws::sigv4::sha256_hex;
use crate::config::Config;
use crate::guard::call::Mode;
use crate::guard::fit::{self, FitError};
use crate::guard::knowledge::{Knowledge, KnowledgeError};
use crate::guard::policies::{Policies, PoliciesError, PolicyFile, Rule, may_assume};
use crate::guard::protected::{Protected, ProtectedError};
use crate::guard::question::Rules;
use crate::guard::release::THIS;
use crate::guard::schema::Vocabulary;

/// What decisions are made by: every decision sees one set.
#[derive(Debug)]
pub struct Ruleset {
    pub catalog: Arc<Catalog>,
    pub knowledge: Knowledge,
    pub vocabulary: Vocabulary,
    pub policies: Policies,
    pub protected: Protected,
    /// SHA-256 over policies, protected list, service files, catalog and callers' groups, 64 hex digits.
    pub hash: String,
    /// Whether the policies are the embedded starter set.
    pub starter: bool,
}

/// Why there is no rule set.
#[derive(Debug, thiserror::Error)]
pub enum RulesetError {
    #[error("`{path}`, which the configuration or the command line names, can't be read: {error}")]
    Read { path: PathBuf, error: io::Error },
    #[error(
        "`{0}` holds no policy file (`*.cedar`): without a policy nothing is allowed; leave `policies` out of the configuration to use the embedded starter set"
    )]
    NoPolicyFile(PathBuf),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("`{path}`, which `catalog` names in the configuration: {error}")]
    Replaced { path: PathBuf, error: CatalogError },
    #[error("`egress.vpc_endpoints`: {0}")]
    VpcEndpoints(#[from] VpcEndpointError),
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
    #[error(transparent)]
    Fit(#[from] FitError),
    #[error(transparent)]
    Policies(#[from] PoliciesError),
    #[error(transparent)]
    Protected(#[from] ProtectedError),
}

/// The starter set, as the binary carries it.
const STARTER: [(&str, &str); 4] = [
    ("base.cedar", include_str!("../policies/base.cedar")),
    ("batch.cedar", include_str!("../policies/batch.cedar")),
    ("billing.cedar", include_str!("../policies/billing.cedar")),
    ("protect.cedar", include_str!("../policies/protect.cedar")),
];

impl Ruleset {
    /// Reads and checks everything that the configuration names.
    ///
    /// # Errors
    /// [`RulesetError`] with everything that is wrong with the first part that is.
    pub fn load(config: &Config) -> Result<Self, RulesetError> {
        let policies = match &config.policies {
            Some(folder) => policy_files(folder)?,
            None => starter(),
        };
        let protected = match &config.protected {
            Some(path) => Some((name(path), read(path)?)),
            None => None,
        };
        let overlay = overlay(config)?;
        let catalog = Self::catalog(config)?;
        let roles = config.callers.iter();
        let roles = roles.map(|c| (c.name.as_str(), c.may_assume.as_slice()));
        let policies: Vec<PolicyFile> = policies.into_iter().chain(may_assume(roles)).collect();
        let groups: BTreeSet<&str> = config
            .callers
            .iter()
            .flat_map(|c| &c.groups)
            .map(String::as_str)
            .collect();
        Self::new(
            catalog,
            &overlay,
            &policies,
            protected.as_ref(),
            &groups,
            config.policies.is_none(),
        )
    }

    /// What decisions are made by, besides the catalog.
    #[must_use]
    pub const fn rules(&self) -> Rules<'_> {
        Rules {
            knowledge: &self.knowledge,
            policies: &self.policies,
            protected: &self.protected,
        }
    }

    /// Whether the protected list protects nothing: it has ids, and no policy forbids anything for them.
    #[must_use]
    pub fn protects_in_vain(&self) -> bool {
        let heeds = |rule: &Rule| {
            rule.effect == Effect::Forbid
                && rule.mode == Mode::Enforce
                && rule.reads.resource.contains("protected")
        };
        !self.protected.is_empty() && !self.policies.rules().iter().any(heeds)
    }

    /// The catalog that the configuration names, or the embedded one.
    ///
    /// # Errors
    /// [`RulesetError`] where it can't be read or is damaged.
    pub fn catalog(config: &Config) -> Result<Catalog, RulesetError> {
        let mut catalog = match &config.catalog {
            Some(path) => replaced(path)?,
            None => Catalog::embedded()?,
        };
        catalog.declare(config.vpc_endpoints.clone())?;
        Ok(catalog)
    }

    /// The embedded service files, and those of the configuration's folder on top.
    ///
    /// # Errors
    /// [`RulesetError`] where one can't be read or says what it may not.
    pub fn knowledge(config: &Config) -> Result<Knowledge, RulesetError> {
        Ok(Knowledge::embedded()?.overlay(&overlay(config)?)?)
    }

    /// Puts a rule set together from what was read.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn new(
        catalog: Catalog,
        overlay: &[(String, String)],
        files: &[PolicyFile],
        protected: Option<&(String, String)>,
        groups: &BTreeSet<&str>,
        starter: bool,
    ) -> Result<Self, RulesetError> {
        let knowledge = Knowledge::embedded()?.overlay(overlay)?;
        // The embedded files are held to the embedded catalog by a test, so that no start has to.
        if catalog.is_embedded() {
            fit::check(knowledge.overlaid(), &catalog)?;
        } else {
            fit::check(knowledge.services(), &catalog)?;
        }
        let catalog = Arc::new(catalog);
        let groups_of_callers = groups.iter().copied();
        let vocabulary = Vocabulary::new(groups_of_callers, Arc::clone(&catalog), &knowledge);
        let policies = Policies::load(files, &vocabulary)?;
        let list = match protected {
            Some((file, text)) => {
                let known: Vec<&str> = catalog.known_ids().collect();
                Protected::parse(file, text, &known)?
            }
            None => Protected::default(),
        };
        let mut seen = format!("{THIS}\n{}\n{groups:?}\n", catalog.digest());
        for file in files {
            seen.push_str(&format!(
                "{}\n{}\n",
                file.name,
                sha256_hex(file.text.as_bytes())
            ));
        }
        for (file, text) in overlay.iter().chain(protected) {
            seen.push_str(&format!("{file}\n{}\n", sha256_hex(text.as_bytes())));
        }
        let hash = sha256_hex(seen.as_bytes());
        Ok(Self {
            catalog,
            knowledge,
            vocabulary,
            policies,
            protected: list,
            hash,
            starter,
        })
    }
}

/// The cases that the starter set is held to.
const STARTER_CASES: [(&str, &str); 7] = [
    ("evs.toml", include_str!("../policies/tests/evs.toml")),
    ("facts.toml", include_str!("../policies/tests/facts.toml")),
    ("mgn.toml", include_str!("../policies/tests/mgn.toml")),
    (
        "servicecatalog.toml",
        include_str!("../policies/tests/servicecatalog.toml"),
    ),
    (
        "starter.toml",
        include_str!("../policies/tests/starter.toml"),
    ),
    (
        "workspaces-instances.toml",
        include_str!("../policies/tests/workspaces-instances.toml"),
    ),
    (
        "workspaces.toml",
        include_str!("../policies/tests/workspaces.toml"),
    ),
];

/// The cases that the embedded starter set is held to, as `(file, text)`.
#[must_use]
pub fn starter_cases() -> Vec<(String, String)> {
    let file = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    STARTER_CASES.iter().map(file).collect()
}

/// The files of cases of a policy folder: `tests/*.toml` in it, as `(file, text)`.
///
/// # Errors
/// [`RulesetError`] where the folder or a file can't be read.
pub fn case_files(folder: &Path) -> Result<Vec<(String, String)>, RulesetError> {
    let tests = folder.join("tests");
    if tests.is_dir() {
        texts(&tests, "toml")
    } else {
        Ok(Vec::new())
    }
}

/// A file of cases.
///
/// # Errors
/// [`RulesetError`] where it can't be read.
pub fn case_file(path: &Path) -> Result<(String, String), RulesetError> {
    Ok((name(path), read(path)?))
}

/// The embedded starter set.
#[must_use]
pub fn starter() -> Vec<PolicyFile> {
    let file = |(name, text): &(&str, &str)| PolicyFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    STARTER.iter().map(file).collect()
}

/// The policy files of a folder, by name.
///
/// # Errors
/// [`RulesetError`] where one can't be read, or there is none.
pub fn policy_files(folder: &Path) -> Result<Vec<PolicyFile>, RulesetError> {
    let files = texts(folder, "cedar")?;
    if files.is_empty() {
        return Err(RulesetError::NoPolicyFile(folder.to_path_buf()));
    }
    Ok(files
        .into_iter()
        .map(|(name, text)| PolicyFile { name, text })
        .collect())
}

/// The user's own service files.
fn overlay(config: &Config) -> Result<Vec<(String, String)>, RulesetError> {
    match &config.services {
        Some(folder) => texts(folder, "toml"),
        None => Ok(Vec::new()),
    }
}

/// The files of a folder with an extension, by name.
fn texts(folder: &Path, extension: &str) -> Result<Vec<(String, String)>, RulesetError> {
    let failed = |error| RulesetError::Read {
        path: folder.to_path_buf(),
        error,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|e| e == extension) {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| Ok((name(path), read(path)?)))
        .collect()
}

/// A catalog in the place of the embedded one. No more is read of its file than a catalog has.
fn replaced(path: &Path) -> Result<Catalog, RulesetError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| RulesetError::Read {
            path: path.to_path_buf(),
            error,
        })?;
    Catalog::from_bytes(bytes).map_err(|error| RulesetError::Replaced {
        path: path.to_path_buf(),
        error,
    })
}

fn read(path: &Path) -> Result<String, RulesetError> {
    std::fs::read_to_string(path).map_err(|error| RulesetError::Read {
        path: path.to_path_buf(),
        error,
    })
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::arn::RoleArn;

    fn ruleset(policies: &[PolicyFile], list: Option<&str>) -> Ruleset {
        let list = list.map(|text| ("protected.toml".to_owned(), text.to_owned()));
        let catalog = Catalog::embedded().unwrap();
        Ruleset::new(catalog, &[], policies, list.as_ref(), &[].into(), false).unwrap()
    }

    #[test]
    fn a_list_that_no_policy_heeds_is_noticed() {
        let all = [PolicyFile {
            name: "all.cedar".to_owned(),
            text: "@id(\"all\") permit (principal, action, resource);".to_owned(),
        }];
        let list = "[workspaces]\nids = [\"ws-1\"]";
        assert!(ruleset(&all, Some(list)).protects_in_vain());
        assert!(!ruleset(&all, Some("[workspaces]\nids = []")).protects_in_vain());
        assert!(!ruleset(&all, None).protects_in_vain());
        assert!(!ruleset(&starter(), Some(list)).protects_in_vain());
    }

    /// What a load decodes is what a start and each reload cost: all of AWS would be ten times as much.
    #[test]
    fn only_services_whose_inputs_policies_read_are_decoded() {
        let decoded = |set: &[PolicyFile]| ruleset(set, None).catalog.decoded();
        let with = |text: &str| {
            let mut set = starter();
            set.push(PolicyFile {
                name: "more.cedar".to_owned(),
                text: text.to_owned(),
            });
            decoded(&set)
        };
        // `monthly-create` reads what CreateWorkspaceInstance is asked for.
        assert_eq!(decoded(&starter()), 1);
        assert_eq!(
            with("@id(\"a\") permit (principal, action in Action::\"ec2:*\", resource);"),
            1
        );
        let reads = "@id(\"a\") @reason(\"no\") forbid (principal, action == Action::\"ec2:TerminateInstances\", resource) \
                     when { context.input has Force && context.input.Force };";
        assert_eq!(with(reads), 2);
    }

    #[test]
    fn a_replaced_catalog_is_held_to_the_service_files() {
        let load = |services: &[&str]| {
            let catalog = crate::aws::catalog::few::few(services);
            Ruleset::new(catalog, &[], &starter(), None, &[].into(), true)
        };
        let ruleset = load(&crate::aws::catalog::few::REVIEWED).unwrap();
        assert_eq!(ruleset.catalog.decoded(), 6);
        assert!(matches!(load(&["sts"]), Err(RulesetError::Policies(_))));
    }

    #[test]
    fn a_file_that_is_no_catalog_is_named_and_never_read_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short.bin");
        std::fs::write(&short, "catalog").unwrap();
        let load = |path: &Path| replaced(path).unwrap_err().to_string();
        assert_eq!(
            load(&short),
            format!(
                "`{}`, which `catalog` names in the configuration: the file is not a catalog; make one with \
                 `palisade catalog build`",
                short.display()
            )
        );
        let endless = load(Path::new("/dev/zero"));
        assert!(endless.contains("larger than 67108864 bytes"), "{endless}");
    }

    #[test]
    fn a_folder_without_a_policy_stays_without_one() {
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/deploy").unwrap();
        let roles = [role];
        let granted = may_assume([("ci", &roles[..])]).unwrap();
        let blank = PolicyFile {
            name: "blank.cedar".to_owned(),
            text: "// nothing".to_owned(),
        };
        let catalog = Catalog::embedded().unwrap();
        let files = [blank, granted];
        let error = Ruleset::new(catalog, &[], &files, None, &[].into(), false).unwrap_err();
        assert!(error.to_string().contains("there is no policy"), "{error}");
    }

    #[test]
    fn what_callers_may_assume_is_judged_beside_the_policies_and_is_in_the_hash() {
        let text = |may_assume: &str| {
            format!(
                "[[caller]]\nname = \"ci\"\ncredentials = \"p\"\nmay_assume = [{may_assume}]\n[credentials.p]\nsource = \"default\""
            )
        };
        let load = |may_assume: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("palisade.toml");
            std::fs::write(&file, text(may_assume)).unwrap();
            let environment = [("HOME".to_owned(), "/".to_owned())];
            Ruleset::load(&Config::load(Some(&file), &environment).unwrap()).unwrap()
        };
        let (with, without) = (load("\"arn:aws:iam::123456789012:role/deploy\""), load(""));
        assert_ne!(with.hash, without.hash);
        let ids = |rules: &Ruleset| -> Vec<String> {
            rules
                .policies
                .rules()
                .iter()
                .map(|r| r.id.clone())
                .collect()
        };
        assert!(ids(&with).contains(&"may_assume ci".to_owned()));
        assert_eq!(ids(&with).len(), ids(&without).len() + 1);
    }

    #[test]
    fn whatever_decisions_are_made_by_is_in_the_hash() {
        let plain = ruleset(&starter(), None).hash;
        assert_eq!(plain, ruleset(&starter(), None).hash);
        assert_ne!(
            plain,
            ruleset(&starter(), Some("[evs]\nids = [\"env-1\"]")).hash
        );
        let mut other = starter();
        other.pop();
        assert_ne!(plain, ruleset(&other, None).hash);
        let overlay = [("x.toml".to_owned(), "service = \"ec2\"".to_owned())];
        let catalog = || Catalog::embedded().unwrap();
        let new = |overlay: &[(String, String)], groups: &[&str]| {
            let groups = groups.iter().copied().collect();
            Ruleset::new(catalog(), overlay, &starter(), None, &groups, true)
        };
        assert_ne!(plain, new(&overlay, &[]).unwrap().hash);
        assert_ne!(plain, new(&[], &["deployers"]).unwrap().hash);
    }
}
