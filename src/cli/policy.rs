//! `palisade policy`: check a policy set, run it on cases, and print the schema that it's written against.

mod cases;
mod upgrade;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use cedar_policy::Effect;
use serde_json::json;

use crate::aws::nearest::nearest;
use crate::config::Config;
use crate::guard::policies::PolicyFault;
use crate::ruleset::{Ruleset, RulesetError};

use self::upgrade::{Before, Upgrade};
use super::failure::Failure;
use super::serve::set_refused;
use super::{Printed, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Load and validate the policy set as a guard would at its start, and tell what an upgrade changes
    ///
    /// The last guard that ran on `state_dir` has left there what operations it served by. Those that this release and its
    /// catalog class otherwise, have no more, or have anew and guard are told: run the new release's `policy check` on the
    /// old guard's configuration before you roll it out. Exit code 1: the policy set is refused; what changes is for you to
    /// judge, and changes no exit code.
    Check {
        /// A folder of policies, in place of the configuration's
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
        /// What another guard served by: its `state_dir/operations.json`, or what its own release printed by
        /// `palisade catalog show --classes`
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the policy set on cases, and compare what it says with what they expect
    Test {
        /// A folder of policies, in place of the configuration's
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Files of cases [default: `tests/*.toml` in the policies' folder, or those of the embedded starter set]
        files: Vec<PathBuf>,
    },
    /// Print the Cedar schema of services, for an editor
    Schema {
        /// The services, as the AWS CLI names them; all of the catalog where none is named
        services: Vec<String>,
    },
}

pub(crate) fn run(arguments: Arguments, mut config: Config) -> Result<Printed, Failure> {
    match arguments.command {
        Command::Check {
            policies,
            against,
            json,
        } => {
            if policies.is_some() {
                config.policies = policies;
            }
            let before = match against {
                Some(file) => Before::named(&file).map_err(Failure::usage)?,
                None => Before::of_state(&config.state_dir),
            };
            check(&config, before, json)
        }
        Command::Test {
            policies,
            json,
            files,
        } => {
            if policies.is_some() {
                config.policies = policies;
            }
            test(&config, &files, json)
        }
        Command::Schema { services } => schema(&config, &services).map(Printed::Text),
    }
}

fn check(config: &Config, before: Before, json: bool) -> Result<Printed, Failure> {
    let ruleset = match Ruleset::load(config) {
        Ok(ruleset) => ruleset,
        Err(RulesetError::Policies(error)) => {
            let catalog = Ruleset::catalog(config).map_err(Failure::usage)?;
            let knowledge = Ruleset::knowledge(config).map_err(Failure::usage)?;
            let upgrade = Upgrade::new(before, &catalog, &knowledge);
            return Ok(faulty(&error.faults, Some(&upgrade), json));
        }
        Err(error) => return Err(Failure::usage(error)),
    };
    let upgrade = Upgrade::new(before, &ruleset.catalog, &ruleset.knowledge);
    let rules = ruleset.policies.rules();
    let open = ruleset.policies.unguarded_tag_keys();
    if json {
        let policies = rules.iter().map(|rule| {
            json!({ "id": rule.id, "file": rule.file, "effect": rule.effect.to_string(), "reason": rule.reason })
        });
        let open = open
            .iter()
            .map(|(key, policy)| json!({ "key": key, "policy": policy }));
        let text = json!({
            "valid": true,
            "ruleset_hash": ruleset.hash,
            "policies": policies.collect::<Vec<_>>(),
            "unguarded_tag_keys": open.collect::<Vec<_>>(),
            "protects_in_vain": ruleset.protects_in_vain(),
            "upgrade": upgrade.json(),
        });
        return Ok(Printed::Text(format!("{text}\n")));
    }
    let rows: Vec<[String; 4]> = rules
        .iter()
        .map(|rule| {
            let effect = if rule.effect == Effect::Permit {
                "permit"
            } else {
                "forbid"
            };
            let reason = rule.reason.clone().unwrap_or_default();
            [
                rule.id.clone(),
                effect.to_owned(),
                rule.file.clone(),
                reason,
            ]
        })
        .collect();
    let mut text = table::text(&["POLICY", "EFFECT", "FILE", "REASON"], &rows);
    for (key, policy) in open {
        text.push_str(&format!(
            "\nwarning: policy `{policy}` reads the tag `{key}`, which anyone who may tag can change: \
             forbid it by `context.tagKeys`\n"
        ));
    }
    if ruleset.protects_in_vain() {
        text.push_str(
            "\nwarning: ids are on the protected list, but no policy forbids anything for them: \
             forbid it by `resource.protected`\n",
        );
    }
    let set = if ruleset.starter {
        "the embedded starter set"
    } else {
        "the policy set"
    };
    text.push_str(&format!(
        "\n{set} is valid: {} policies, rule set {:.12}\n",
        rules.len(),
        ruleset.hash
    ));
    text.push_str(&format!("\n{}", upgrade.text(&[])));
    Ok(Printed::Text(text))
}

fn test(config: &Config, files: &[PathBuf], json: bool) -> Result<Printed, Failure> {
    let ruleset = match Ruleset::load(config) {
        Ok(ruleset) => ruleset,
        Err(RulesetError::Policies(error)) => return Ok(faulty(&error.faults, None, json)),
        Err(error) => return Err(Failure::usage(error)),
    };
    let report = cases::run(config, &ruleset, files)?;
    let text = if json { report.json() } else { report.text() };
    // A reader that has seen enough and went away changes nothing about the result.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Printed::Done(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }))
}

fn faulty(faults: &[PolicyFault], upgrade: Option<&Upgrade>, json: bool) -> Printed {
    if json {
        let faults = faults.iter().map(|fault| {
            json!({ "file": fault.file, "line": fault.line, "policy": fault.policy, "message": fault.message })
        });
        let mut said = json!({ "valid": false, "faults": faults.collect::<Vec<_>>() });
        if let (Some(upgrade), Some(said)) = (upgrade, said.as_object_mut()) {
            said.insert("upgrade".to_owned(), upgrade.json());
        }
        println!("{said}");
    } else {
        if let Some(upgrade) = upgrade {
            print!("{}", upgrade.text(faults));
        }
        for fault in faults {
            eprintln!("{fault}");
        }
        eprintln!("palisade: {}", set_refused(faults.len()));
    }
    Printed::Done(ExitCode::from(1))
}

fn schema(config: &Config, services: &[String]) -> Result<String, Failure> {
    let ruleset = Ruleset::load(config).map_err(Failure::usage)?;
    let known: Vec<&str> = ruleset.catalog.service_ids().collect();
    if let Some(unknown) = services.iter().find(|s| !known.contains(&s.as_str())) {
        let near = nearest(unknown, known.iter().copied()).map(|n| format!("did you mean `{n}`?"));
        return Err(
            Failure::usage(anyhow::anyhow!("the catalog has no service `{unknown}`"))
                .with_help(near),
        );
    }
    ruleset.vocabulary.whole(services).map_err(Failure::usage)
}
