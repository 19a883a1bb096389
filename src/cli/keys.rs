//! `palisade keys`: callers' virtual keys.

use crate::aws::nearest::nearest;
use crate::config::{Config, check_name};
use crate::running::open_state;
use crate::sources::clock::Clock;
use crate::state::{KeyRecord, time_text};
use clap::Subcommand;
use serde_json::json;

use super::failure::Failure;
use super::table;

const EXAMPLES: &str = "\
Examples:
  palisade keys new ci
  palisade keys list --json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Issue a key to a caller of the configuration; the secret is shown this once
    New {
        /// The caller, as its `[[caller]]` in the configuration is named
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List every key that was issued
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; a running guard refuses it within a second
    Revoke {
        /// The access key id, as `palisade keys list` shows it
        #[arg(value_name = "ID")]
        access_key_id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

pub(crate) fn run(arguments: Arguments, config: &Config) -> Result<String, Failure> {
    let clock = Clock::system();
    match arguments.command {
        Command::New { name, json } => new(&name, Format::of(json), config, &clock),
        Command::List { json } => list(Format::of(json), config),
        Command::Revoke {
            access_key_id,
            json,
        } => revoke(&access_key_id, Format::of(json), config, &clock),
    }
}

fn new(name: &str, format: Format, config: &Config, clock: &Clock) -> Result<String, Failure> {
    if !config.callers.iter().any(|c| c.name == name) {
        return Err(no_such_caller(name, config));
    }
    let keys = open_state(config)?.keys()?;
    let key = keys.issue(name, clock.now())?;
    let (id, secret) = (key.access_key_id.as_str(), key.secret_access_key.expose());
    match format {
        Format::Json => line(&json!({
            "access_key_id": id,
            "secret_access_key": secret,
            "caller": name,
        })),
        Format::Text => {
            let row = [name, id, secret].map(str::to_owned);
            let table = table::text(&["CALLER", "ACCESS KEY ID", "SECRET ACCESS KEY"], &[row]);
            Ok(format!(
                "{table}\n\
                 export AWS_ACCESS_KEY_ID={id}\n\
                 export AWS_SECRET_ACCESS_KEY={secret}\n\
                 unset AWS_SESSION_TOKEN\n"
            ))
        }
    }
}

fn no_such_caller(name: &str, config: &Config) -> Failure {
    let error = anyhow::anyhow!("`{name}` is not a caller of the configuration");
    if let Err(problem) = check_name(name) {
        return Failure::usage(error).with_help(format!("`{name}`: {problem}"));
    }
    let file = config.file.as_ref().map_or_else(
        || "`~/.config/palisade/palisade.toml`, or the file after --config".to_owned(),
        |file| format!("`{}`", file.display()),
    );
    let credentials = config.credentials.first();
    let mut lines = format!(
        "[[caller]]\nname = \"{name}\"\ncredentials = \"{}\"",
        credentials.map_or("default", |c| c.name.as_str())
    );
    if credentials.is_none() {
        lines.push_str("\n\n[credentials.default]\nsource = \"default\"");
    }
    let callers = config.callers.iter().map(|c| c.name.as_str());
    let help = match nearest(name, callers) {
        Some(nearest) => format!("did you mean `{nearest}`? or add to {file}:\n\n{lines}"),
        None => format!("add to {file}:\n\n{lines}"),
    };
    Failure::usage(error).with_help(help)
}

fn list(format: Format, config: &Config) -> Result<String, Failure> {
    let keys = open_state(config)?.keys()?.list()?;
    match format {
        Format::Json => {
            let keys: Vec<_> = keys.iter().map(|key| as_json(key, config)).collect();
            line(&json!(keys))
        }
        Format::Text if keys.is_empty() => {
            Ok("no keys were issued; `palisade keys new NAME` issues one\n".to_owned())
        }
        Format::Text => {
            let time = |t: Option<_>| t.and_then(time_text).unwrap_or_else(|| "-".to_owned());
            let row = |key: &KeyRecord| {
                [
                    key.access_key_id.clone(),
                    key.caller.clone(),
                    state(key, config).to_owned(),
                    time(Some(key.issued)),
                    time(key.first_used),
                    time(key.revoked),
                ]
            };
            let rows: Vec<_> = keys.iter().map(row).collect();
            let heads = [
                "ACCESS KEY ID",
                "CALLER",
                "STATE",
                "ISSUED",
                "FIRST USED",
                "REVOKED",
            ];
            Ok(table::text(&heads, &rows))
        }
    }
}

fn as_json(key: &KeyRecord, config: &Config) -> serde_json::Value {
    json!({
        "access_key_id": key.access_key_id,
        "caller": key.caller,
        "state": state(key, config),
        "issued": time_text(key.issued),
        "first_used": key.first_used.and_then(time_text),
        "revoked": key.revoked.and_then(time_text),
    })
}

/// `orphaned`: the caller stands in the configuration no longer, so that the key counts for nothing.
fn state(key: &KeyRecord, config: &Config) -> &'static str {
    if key.revoked.is_some() {
        "revoked"
    } else if config.callers.iter().any(|c| c.name == key.caller) {
        "active"
    } else {
        "orphaned"
    }
}

fn revoke(
    access_key_id: &str,
    format: Format,
    config: &Config,
    clock: &Clock,
) -> Result<String, Failure> {
    let now = clock.now();
    let keys = open_state(config)?.keys()?;
    let before = keys.revoke(access_key_id, now)?;
    let time = before.revoked.unwrap_or(now);
    match format {
        Format::Json => line(&json!({
            "access_key_id": access_key_id,
            "caller": before.caller,
            "revoked": time_text(time),
        })),
        Format::Text if before.revoked.is_some() => Ok(format!(
            "`{access_key_id}` of `{}` was revoked before\n",
            before.caller
        )),
        Format::Text => Ok(format!(
            "revoked `{access_key_id}` of `{}`\n",
            before.caller
        )),
    }
}

fn line(value: &serde_json::Value) -> Result<String, Failure> {
    let text = serde_json::to_string(value).map_err(Failure::refused)?;
    Ok(format!("{text}\n"))
}

impl Format {
    fn of(json: bool) -> Self {
        if json { Format::Json } else { Format::Text }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn clock() -> Clock {
        Clock::fixed(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    }

    fn config(folder: &Path, callers: &[&str]) -> Config {
        let mut text = format!("state_dir = \"{}/state\"\n", folder.display());
        text.push_str("[credentials.prod]\nsource = \"default\"\n");
        for name in callers {
            text.push_str(&format!(
                "[[caller]]\nname = \"{name}\"\ncredentials = \"prod\"\n"
            ));
        }
        Config::from_toml(&text, Path::new("/etc/palisade/palisade.toml"), &[]).unwrap()
    }

    fn issued(config: &Config) -> serde_json::Value {
        serde_json::from_str(&new("ci", Format::Json, config, &clock()).unwrap()).unwrap()
    }

    #[test]
    fn a_new_key_is_shown_once_with_the_lines_to_export() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &["ci"]);
        let text = new("ci", Format::Text, &config, &clock()).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let (id, secret) = (words[8], words[9]);
        assert!(id.starts_with("PALISADE"), "{text}");
        assert!(text.contains(&format!("\n\nexport AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\nunset AWS_SESSION_TOKEN\n")), "{text}");
        let ledger = folder.path().join("state/keys/ledger.jsonl");
        assert!(!std::fs::read_to_string(ledger).unwrap().contains(secret));
    }

    #[test]
    fn json_has_the_names_that_programs_read() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &["ci"]);
        let key = issued(&config);
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(names, ["access_key_id", "secret_access_key", "caller"]);
        let id = key["access_key_id"].as_str().unwrap();
        let listed = list(Format::Json, &config).unwrap();
        let expected = format!(
            "[{{\"access_key_id\":\"{id}\",\"caller\":\"ci\",\"state\":\"active\",\"issued\":\"2027-01-15T08:00:00Z\",\"first_used\":null,\"revoked\":null}}]\n"
        );
        assert_eq!(listed, expected);
        let revoked = revoke(id, Format::Json, &config, &clock()).unwrap();
        let expected = format!(
            "{{\"access_key_id\":\"{id}\",\"caller\":\"ci\",\"revoked\":\"2027-01-15T08:00:00Z\"}}\n"
        );
        assert_eq!(revoked, expected);
    }

    #[test]
    fn keys_are_listed_with_what_became_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &["ci", "dev"]);
        let none = "no keys were issued; `palisade keys new NAME` issues one\n";
        assert_eq!(list(Format::Text, &config).unwrap(), none);
        let key = issued(&config);
        let id = key["access_key_id"].as_str().unwrap();
        new("dev", Format::Text, &config, &clock()).unwrap();
        let said = revoke(id, Format::Text, &config, &clock()).unwrap();
        assert_eq!(said, format!("revoked `{id}` of `ci`\n"));
        let said = revoke(id, Format::Text, &config, &clock()).unwrap();
        assert_eq!(said, format!("`{id}` of `ci` was revoked before\n"));
        let without_dev = super::tests::config(folder.path(), &["ci"]);
        let text = list(Format::Text, &without_dev).unwrap();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1][1..3], ["ci", "revoked"]);
        assert_eq!(
            lines[2][1..],
            ["dev", "orphaned", "2027-01-15T08:00:00Z", "-", "-"]
        );
    }

    #[test]
    fn an_unknown_caller_gets_no_key_but_the_lines_to_add() {
        let folder = tempfile::tempdir().unwrap();
        let check = |callers: &[&str], name: &str, expected: &str| {
            let config = config(folder.path(), callers);
            let failure = new(name, Format::Text, &config, &clock()).unwrap_err();
            assert_eq!(failure.to_string(), expected);
        };
        check(
            &["ci-deploy"],
            "ci-deply",
            "palisade: `ci-deply` is not a caller of the configuration\nhelp: did you mean `ci-deploy`? or add to `/etc/palisade/palisade.toml`:\n\n[[caller]]\nname = \"ci-deply\"\ncredentials = \"prod\"",
        );
        check(
            &[],
            "ci",
            "palisade: `ci` is not a caller of the configuration\nhelp: add to `/etc/palisade/palisade.toml`:\n\n[[caller]]\nname = \"ci\"\ncredentials = \"prod\"",
        );
        check(
            &[],
            "c i",
            "palisade: `c i` is not a caller of the configuration\nhelp: `c i`: not a name; it begins with a letter or digit and holds letters, digits and `_+=,.@-`",
        );
        assert!(!folder.path().join("state").exists());
    }

    #[test]
    fn keys_that_guards_share_are_listed_and_neither_issued_nor_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), &["ci"]);
        let id = issued(&config)["access_key_id"]
            .as_str()
            .unwrap()
            .to_owned();
        let shared = config.state_dir.join("keys");
        config.shared.keys = Some(shared.clone());
        config.state_dir = folder.path().join("other");
        assert!(list(Format::Text, &config).unwrap().contains(&id));
        let expected = format!(
            "palisade: the keys in `{}` are shared by several guards, which only read them\nhelp: run the command where the folder was copied from, on the `state_dir` that has these keys as its own, then copy its ledger.jsonl here",
            shared.display()
        );
        let failures = [
            new("ci", Format::Text, &config, &clock()).unwrap_err(),
            revoke(&id, Format::Text, &config, &clock()).unwrap_err(),
        ];
        for failure in failures {
            assert_eq!(failure.to_string(), expected);
        }
    }

    #[test]
    fn revoking_an_unknown_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), &["ci"]);
        let failure = revoke("PALISADEX", Format::Text, &config, &clock()).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "palisade: no key with the id `PALISADEX` was issued here\nhelp: `palisade keys list` shows those that were"
        );
    }
}
