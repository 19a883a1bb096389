//! The configuration and what it names: policies, protected list, service files, catalog.

use super::finding::Finding;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::ruleset::Ruleset;

const CONFIGURATION: &str = "host.configuration";
const POLICIES: &str = "host.policies";

/// What the configuration itself is worth, where one was looked for.
pub(super) fn configuration(config: &Result<Config, Failure>) -> Finding {
    match config {
        Err(failure) => Finding::failed(
            CONFIGURATION,
            failure,
            "mend the file, or name another by --config; `config/palisade.toml` shows every key",
        ),
        Ok(config) => match &config.file {
            Some(file) => Finding::ok(CONFIGURATION, format!("`{}` loads", file.display())),
            None => Finding::skipped(
                CONFIGURATION,
                "there is no configuration file: nothing of a guard's host was looked at; name a file by --config",
            ),
        },
    }
}

/// Whether the guard would start with its rules.
pub(super) fn policies(config: &Config) -> Finding {
    let ruleset = match Ruleset::load(config) {
        Ok(ruleset) => ruleset,
        Err(error) => {
            let error = Failure::usage(error).error();
            let fix = "mend it; `palisade policy check` shows each place";
            return Finding::fault(POLICIES, error, fix);
        }
    };
    if ruleset.protects_in_vain() {
        return Finding::warning(
            POLICIES,
            "the protected list has ids, and no policy that is enforced forbids anything for them",
            "add a policy that reads `resource.protected`, as `protected-id` of the starter set does",
        );
    }
    let open = ruleset.policies.unguarded_tag_keys();
    if let Some((key, policy)) = open.first() {
        return Finding::warning(
            POLICIES,
            format!("policy `{policy}` reads the tag `{key}`, which anyone who may tag can change"),
            "forbid that by `context.tagKeys`, as the starter set does for `protected`",
        );
    }
    let count = ruleset.policies.rules().len();
    let set = if config.policies.is_some() {
        ""
    } else {
        "starter "
    };
    Finding::ok(POLICIES, format!("valid {set}policies: {count}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::finding::State;
    use super::*;

    fn config(folder: &Path) -> Config {
        let text = "policies = \"policies\"";
        let home = [("HOME".to_owned(), "/".to_owned())];
        Config::from_toml(text, &folder.join("palisade.toml"), &home).unwrap()
    }

    #[test]
    fn a_spoilt_set_is_a_fault_until_it_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let policies_folder = folder.path().join("policies");
        std::fs::create_dir(&policies_folder).unwrap();
        let config = config(folder.path());
        let with = |text: &str| {
            std::fs::write(policies_folder.join("a.cedar"), text).unwrap();
            policies(&config)
        };
        let spoilt = with("@id(\"a\") permit (principal, action, resource) when { nonsense };");
        assert_eq!(spoilt.state, State::Fault, "{spoilt:?}");
        assert!(spoilt.what.contains("a.cedar"), "{spoilt:?}");
        assert!(spoilt.fix.unwrap().contains("policy check"));
        let sound = with("@id(\"a\") permit (principal, action, resource);");
        assert_eq!(sound.state, State::Ok, "{sound:?}");
        assert_eq!(sound.what, "valid policies: 1");
    }

    #[test]
    fn no_file_is_skipped_and_a_broken_one_is_a_fault() {
        let found = configuration(&Ok(Config::from_environment(&[(
            "HOME".to_owned(),
            "/".to_owned(),
        )])
        .unwrap()));
        assert_eq!(found.state, State::Skipped);
        let broken = configuration(&Err(Failure::usage(anyhow::anyhow!("`x` is not a key"))));
        assert_eq!(broken.state, State::Fault);
        assert!(broken.fix.is_some());
    }
}
