//! The command line: one file per subcommand. What they share: `--config` in any position, `--json` on every
//! listing, exit code 0 where all is well, 1 where something is refused or a check fails, 2 for a wrong command
//! line or configuration.
//!
//! INVARIANT: a subcommand that isn't built says so and ends with 2; none is accepted and ignored.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

mod ask;
mod ca;
mod catalog;
mod completions;
mod credentials;
mod demo;
mod doctor;
mod env;
mod exec;
mod failure;
mod folder;
mod journal;
mod keys;
mod log;
mod man;
mod policy;
mod presign;
#[cfg(test)]
mod readme;
mod scp;
mod serve;
mod table;
mod token;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::aws::nearest::nearest;
use crate::config::{self, Config};
use crate::guard::release::THIS;
use crate::ruleset::Ruleset;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use self::failure::Failure;

/// Subcommands whose feature doesn't exist yet.
const UNBUILT: &[&str] = &["replay", "approvals", "approve"];

/// The same below a subcommand that does.
const UNBUILT_BELOW: &[[&str; 2]] = &[
    ["policy", "explain"],
    ["policy", "diff"],
    ["journal", "report"],
];

/// A policy guard for AWS: a forwarding HTTPS proxy that judges every API call before it is sent.
#[derive(Debug, Parser)]
#[command(name = "palisade", version = THIS, propagate_version = true)]
struct Arguments {
    /// The configuration file [default: $PALISADE_CONFIG, ~/.config/palisade/palisade.toml, /etc/palisade/palisade.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the guard, in the foreground
    Serve(serve::Arguments),
    /// Show what it does: real calls through a guard to a stand-in for AWS, nothing kept
    Demo(demo::Arguments),
    /// Run a command so that its calls to AWS are guarded
    Exec(exec::Arguments),
    /// Print what sends a shell's calls through the guard that runs: eval "$(palisade env)"
    Env(env::Arguments),
    /// Hand out temporary keys of the guard's: a `credential_process` for AWS's configuration file
    Credentials(credentials::Arguments),
    /// Have the guard make a token for a cluster or a database
    Token(token::Arguments),
    /// Have the guard presign a URL: it makes one call for whoever has it, until it expires
    Presign(presign::Arguments),
    /// Print the certificate authority that clients must trust, as PEM
    Ca,
    /// Issue, list and revoke callers' keys
    Keys(keys::Arguments),
    /// Check and test policies, print what they can speak of
    Policy(policy::Arguments),
    /// Show what is known of AWS's services, operations and hosts; make a newer catalog of them
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Find what is wrong with a client of the guard or with its host, and what mends it
    Doctor(doctor::Arguments),
    /// Make service control policies by which only the guard deletes in your AWS organization
    Scp(scp::Arguments),
    /// Read the record of what was asked, decided and done, and verify it
    Journal(journal::JournalArgs),
    /// Print what completes `palisade` in your shell
    Completions(completions::Arguments),
    /// Print the manual page, or write one for each subcommand
    Man(man::Arguments),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

impl Command {
    /// How much is logged where PALISADE_LOG doesn't say.
    fn log_level(&self) -> LevelFilter {
        match self {
            // Its table tells everything.
            Command::Demo(_) | Command::Doctor(_) => LevelFilter::OFF,
            // The command's own output stands there; each refusal has a line of its own.
            Command::Exec(_) | Command::Env(_) | Command::Credentials(_) => LevelFilter::ERROR,
            Command::Serve(_)
            | Command::Token(_)
            | Command::Presign(_)
            | Command::Ca
            | Command::Keys(_)
            | Command::Policy(_)
            | Command::Catalog(_)
            | Command::Scp(_)
            | Command::Journal(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Other(_) => LevelFilter::INFO,
        }
    }
}

/// What a subcommand prints on standard output.
type Answer = Result<Printed, Failure>;

/// What a subcommand leaves behind.
enum Printed {
    /// Text for standard output.
    Text(String),
    /// It has printed already, and ends with this.
    Done(ExitCode),
}

impl From<String> for Printed {
    fn from(text: String) -> Self {
        Printed::Text(text)
    }
}

/// Runs the command line. The log goes to standard error, what was asked for to standard output.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = arguments.collect();
    let answer = match Arguments::try_parse_from(&words) {
        Ok(arguments) => log::start(arguments.command.log_level()).and_then(|()| run(arguments)),
        Err(error) if is_asked_for(&error) => Ok(error.to_string().into()),
        Err(error) => Err(unbuilt_below(&words).unwrap_or_else(|| Failure::of_arguments(&error))),
    };
    let printed = answer.and_then(|printed| match printed {
        Printed::Text(text) => print(&text).map(|()| ExitCode::SUCCESS),
        Printed::Done(code) => Ok(code),
    });
    printed.unwrap_or_else(|failure| failure.report())
}

fn run(arguments: Arguments) -> Answer {
    let config = arguments.config;
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments, &|| load(config.clone())),
        Command::Demo(_) if config.is_some() => Err(Failure::usage(anyhow::anyhow!(
            "the demonstration has a configuration of its own: leave --config out"
        ))),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Exec(arguments) => exec::run(&arguments, &load(config)?),
        Command::Env(arguments) => Ok(env::run(&arguments, &load(config)?)?.into()),
        Command::Credentials(arguments) => {
            Ok(credentials::run(&arguments, || load(config))?.into())
        }
        Command::Token(_) | Command::Presign(_) if config.is_some() => {
            Err(Failure::usage(anyhow::anyhow!(
                "this asks the guard that HTTPS_PROXY names and needs no configuration: leave --config out"
            )))
        }
        Command::Completions(_) | Command::Man(_) if config.is_some() => Err(Failure::usage(
            anyhow::anyhow!("this needs no configuration: leave --config out"),
        )),
        Command::Completions(arguments) => Ok(completions::run(&arguments).into()),
        Command::Man(arguments) => {
            let told = man::run(&arguments).map_err(Failure::refused)?;
            Ok(told.into())
        }
        Command::Token(arguments) => Ok(token::run(&arguments)?.into()),
        Command::Presign(arguments) => Ok(presign::run(&arguments)?.into()),
        Command::Doctor(arguments) => doctor::run(&arguments, load(config)),
        Command::Ca => Ok(ca::run(&load(config)?)?.into()),
        Command::Policy(arguments) => policy::run(arguments, load(config)?),
        Command::Catalog(command) => catalog(&command, config),
        Command::Scp(arguments) => {
            let catalog = Ruleset::catalog(&load(config)?).map_err(Failure::usage)?;
            let told = scp::run(&arguments, &catalog).map_err(Failure::usage)?;
            Ok(told.into())
        }
        Command::Keys(arguments) => Ok(keys::run(arguments, &load(config)?)?.into()),
        Command::Journal(arguments) => {
            let folder = load(config)?.state_dir.join("journal");
            let mut out = std::io::stdout().lock();
            let code = journal::run(&arguments, &folder, std::time::SystemTime::now(), &mut out);
            code.map(Printed::Done).map_err(Failure::refused)
        }
        Command::Other(words) => Err(not_a_subcommand(&words)),
    }
}

fn catalog(command: &catalog::CatalogCommand, config: Option<PathBuf>) -> Answer {
    let answer = match command {
        catalog::CatalogCommand::Build(arguments) => catalog::build(arguments),
        catalog::CatalogCommand::Show(arguments) => {
            let config = load(config)?;
            let catalog = Ruleset::catalog(&config).map_err(Failure::usage)?;
            let knowledge = Ruleset::knowledge(&config).map_err(Failure::usage)?;
            catalog::show(arguments, &catalog, &knowledge)
        }
        catalog::CatalogCommand::Hosts(arguments) => {
            let catalog = Ruleset::catalog(&load(config)?).map_err(Failure::usage)?;
            catalog::hosts(arguments, &catalog)
        }
    };
    answer.map(Printed::Text).map_err(Failure::refused)
}

/// The configuration of `--config`, or of the usual places.
fn load(explicit: Option<PathBuf>) -> Result<Config, Failure> {
    let environment = config::environment()?;
    Ok(Config::load(explicit.as_deref(), &environment)?)
}

/// The command line's definition.
fn definition() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

fn not_a_subcommand(words: &[OsString]) -> Failure {
    let name = words.first().map(|w| w.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if UNBUILT.contains(&name.as_str()) {
        return Failure::usage(anyhow::anyhow!("`{name}` isn't built yet"));
    }
    let command = definition();
    let built = command.get_subcommands().map(clap::Command::get_name);
    let help = nearest(&name, built).map_or_else(
        || "`palisade --help` shows every subcommand".to_owned(),
        |n| format!("did you mean `{n}`?"),
    );
    Failure::usage(anyhow::anyhow!("`{name}` is not a subcommand")).with_help(help)
}

/// A command line that clap doesn't take, for a subcommand that isn't built.
fn unbuilt_below(words: &[OsString]) -> Option<Failure> {
    let named = |pair: &&[&str; 2]| {
        words
            .windows(2)
            .any(|two| two.iter().zip(*pair).all(|(word, name)| word == name))
    };
    let pair = UNBUILT_BELOW.iter().find(named)?.join(" ");
    Some(Failure::usage(anyhow::anyhow!("`{pair}` isn't built yet")))
}

fn is_asked_for(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// Prints; a reader that has seen enough and went away is no fault.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::refused(
            anyhow::Error::new(e).context("cannot print"),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, Failure> {
        let words = std::iter::once("palisade").chain(words.iter().copied());
        Arguments::try_parse_from(words).map_err(|e| Failure::of_arguments(&e))
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    /// The command lines of `palisade` in what a command's help ends with.
    fn examples(command: &clap::Command) -> Vec<String> {
        let own = command.get_after_help().map(ToString::to_string);
        let own = own.unwrap_or_default().replace("\\\n", " ");
        let lines = own.lines().filter_map(|line| {
            let (_, words) = line.split_once("palisade ")?;
            let words = words.split(['>', '|', ')']).next()?;
            Some(words.replace('\'', ""))
        });
        let below = command.get_subcommands().flat_map(examples);
        lines.chain(below).collect()
    }

    #[test]
    fn the_examples_of_help_are_command_lines_that_it_takes() {
        let examples = examples(&definition());
        assert!(examples.len() > 15, "{examples:?}");
        for example in examples {
            let words: Vec<&str> = example.split_whitespace().collect();
            let parsed = parse(&words);
            assert!(
                matches!(&parsed, Ok(parsed) if !matches!(parsed.command, Command::Other(_))),
                "{example}: {parsed:?}"
            );
        }
    }

    #[test]
    fn the_configuration_may_be_named_anywhere() {
        for words in [
            &["--config", "x.toml", "keys", "list", "--json"][..],
            &["keys", "--config", "x.toml", "list", "--json"],
            &["keys", "list", "--config", "x.toml", "--json"],
            &["keys", "list", "--json", "--config=x.toml"],
        ] {
            let arguments = parse(words).unwrap();
            assert_eq!(arguments.config, Some(PathBuf::from("x.toml")), "{words:?}");
            assert!(matches!(arguments.command, Command::Keys(_)));
        }
        // What follows `--` is the command's own.
        let words = ["exec", "--config", "x.toml", "--", "tool", "--config", "y"];
        let arguments = parse(&words).unwrap();
        assert_eq!(arguments.config, Some(PathBuf::from("x.toml")));
    }

    #[test]
    fn what_isnt_built_or_isnt_there_is_refused_by_name() {
        let check = |words: &[&str], expected: &str| {
            let Command::Other(words) = parse(words).unwrap().command else {
                panic!("{words:?} is built");
            };
            assert_eq!(not_a_subcommand(&words).to_string(), expected);
        };
        check(&["approve", "0198"], "palisade: `approve` isn't built yet");
        for name in UNBUILT {
            check(&[name], &format!("palisade: `{name}` isn't built yet"));
        }
        check(
            &["key", "list"],
            "palisade: `key` is not a subcommand\nhelp: did you mean `keys`?",
        );
        check(
            &["frobnicate"],
            "palisade: `frobnicate` is not a subcommand\nhelp: `palisade --help` shows every subcommand",
        );
    }

    #[test]
    fn what_isnt_built_below_a_subcommand_is_refused_by_name() {
        for pair in UNBUILT_BELOW {
            let words: Vec<OsString> = ["palisade", pair[0], pair[1]].map(OsString::from).into();
            assert!(
                Arguments::try_parse_from(&words).is_err(),
                "{pair:?} is built"
            );
            let failure = unbuilt_below(&words).unwrap();
            assert_eq!(
                failure.to_string(),
                format!("palisade: `{} {}` isn't built yet", pair[0], pair[1])
            );
        }
    }

    #[test]
    fn a_wrong_command_line_is_one_clear_line() {
        let check = |words: &[&str], expected: &str| {
            assert_eq!(parse(words).unwrap_err().to_string(), expected, "{words:?}");
        };
        check(
            &["keys", "new"],
            "palisade: the following required arguments were not provided: <NAME>\nhelp: usage: palisade keys new <NAME>",
        );
        for words in [&[][..], &["keys"]] {
            check(
                words,
                "palisade: the subcommand is missing\nhelp: `--help` in its place shows what there is",
            );
        }
        check(
            &["exec"],
            "palisade: the following required arguments were not provided: <CMD>...\nhelp: usage: palisade exec -- <CMD>...",
        );
        check(
            &["exec", "terraform", "plan"],
            "palisade: unexpected argument 'terraform' found\nhelp: usage: palisade exec [OPTIONS] -- <CMD>...",
        );
        check(
            &["keys", "lst"],
            "palisade: unrecognized subcommand 'lst'\nhelp: a similar subcommand exists: 'list'",
        );
        check(
            &["keys", "list", "--jsn"],
            "palisade: unexpected argument '--jsn' found\nhelp: a similar argument exists: '--json'",
        );
    }
}
