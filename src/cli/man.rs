//! `palisade man`: manual pages, made of the definition that parses the command line.
//!
//! INVARIANT: a page of its own for each subcommand that is built, and none for another.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::definition;

const INSTALL: &str = "\
Read the first page:     palisade man | man -l -
Install all, for you:    palisade man --out ~/.local/share/man/man1
For everyone, as root:   palisade man --out /usr/local/share/man/man1";

const MANUAL: &str = "Palisade";

const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "All is well."),
    ("1", "Something was refused, or a check failed."),
    (
        "2",
        "The command line or the configuration is wrong; nothing was done.",
    ),
    ("any other", "That of the command that `palisade exec` ran."),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    (
        "PALISADE_CONFIG",
        "The configuration file, where --config names none.",
    ),
    (
        "PALISADE_LISTEN, PALISADE_UPSTREAM_TIMEOUT …",
        "Each key of the configuration, in capitals, with its section before it; they go before the file.",
    ),
    (
        "PALISADE_LOG",
        "How much is logged to standard error: off, error, warn, info, debug or trace.",
    ),
];

const FILES: [(&str, &str); 4] = [
    (
        "~/.config/palisade/palisade.toml",
        "The user's configuration ($XDG_CONFIG_HOME).",
    ),
    (
        "/etc/palisade/palisade.toml",
        "The system's, where the user has none.",
    ),
    (
        "~/.local/state/palisade",
        "Certificate authority, keys and journal, where `state_dir` names no other folder.",
    ),
    (
        "~/.aws/config, ~/.aws/credentials",
        "AWS's own, which name what allowed calls are signed with.",
    ),
];

#[derive(Debug, clap::Args)]
#[command(after_help = INSTALL)]
pub(crate) struct Arguments {
    /// Write a page for each subcommand into this folder, made where it isn't there; else palisade(1) is printed
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// The first page, or what was written.
///
/// # Errors
/// Where the folder can't be made or written.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<String> {
    let mut root = definition().disable_help_subcommand(true);
    root.build();
    let Some(folder) = &arguments.out else {
        return Ok(String::from_utf8_lossy(&page(&root)?).into_owned());
    };
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| format!("`{shown}` can't be made"))?;
    let count = write(folder, &root)?;
    Ok(format!(
        "{count} pages written to `{shown}`: `man palisade` is the first\n"
    ))
}

/// Writes the page of a command and those below it; how many.
fn write(folder: &Path, command: &clap::Command) -> anyhow::Result<usize> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?)
        .with_context(|| format!("`{}` can't be written", path.display()))?;
    let mut count = 1_usize;
    for below in command.get_subcommands() {
        count = count.saturating_add(write(folder, below)?);
    }
    Ok(count)
}

fn page(command: &clap::Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = format!("palisade {}", crate::guard::release::THIS);
    // As `--help` has it, with `--` and what may be repeated; examples as they stand, below.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let shown = command.clone().override_usage(usage);
    let shown = shown.after_help(Resettable::Reset);
    let man = Man::new(shown).source(source).manual(MANUAL);
    man.render(&mut page)?;
    closing(command).to_writer(&mut page)?;
    Ok(page)
}

/// What a page ends with: examples, and what all commands share, on the first; on others, where that stands.
fn closing(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    if let Some(examples) = command.get_after_help() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        let examples = examples.to_string();
        // The heading that `--help` has for them is this section's own.
        let lines = examples.lines().filter(|line| *line != "Examples:");
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    if command.get_name() != "palisade" {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("palisade"), roman("(1)")]);
        return roff;
    }
    for (head, items) in [
        ("EXIT STATUS", &EXIT_CODES[..]),
        ("ENVIRONMENT", &ENVIRONMENT[..]),
        ("FILES", &FILES[..]),
    ] {
        roff.control("SH", [head]);
        for (name, text) in items {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*text)]);
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &clap::Command, prefix: &str) -> Vec<String> {
        let name = format!("{prefix}{}", command.get_name());
        let below = command.get_subcommands();
        let below = below.flat_map(|c| names(c, &format!("{name}-")));
        std::iter::once(name.clone()).chain(below).collect()
    }

    #[test]
    fn every_subcommand_has_a_page_and_nothing_else_has() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("share/man1");
        let said = run(&Arguments {
            out: Some(out.clone()),
        });
        let mut there: Vec<String> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut expected: Vec<String> = names(&definition(), "")
            .iter()
            .map(|name| format!("{name}.1"))
            .collect();
        there.sort();
        expected.sort();
        assert_eq!(there, expected);
        assert!(expected.contains(&"palisade-policy-check.1".to_owned()));
        let count = format!("{} pages", expected.len());
        assert!(said.unwrap().starts_with(&count));
        let first = std::fs::read_to_string(out.join("palisade.1")).unwrap();
        assert_eq!(run(&Arguments { out: None }).unwrap(), first);
    }

    #[test]
    fn the_first_page_names_what_is_built_and_nothing_else() {
        let page = run(&Arguments { out: None }).unwrap();
        for command in definition().get_subcommands() {
            let name = command.get_name().replace('-', "\\-");
            assert!(page.contains(&format!("palisade\\-{name}(1)")), "{name}");
        }
        for name in super::super::UNBUILT {
            assert!(!page.contains(name), "{name}");
        }
        assert!(!page.contains("palisade\\-help"));
    }

    #[test]
    fn a_folder_that_cant_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = Some(file.path().join("man1"));
        let error = run(&Arguments { out }).unwrap_err();
        assert!(error.to_string().ends_with("man1` can't be made"));
    }
}
