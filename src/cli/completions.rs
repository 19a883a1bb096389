//! `palisade completions`: what completes this command line in a shell, made of the definition that parses it.

use clap_complete::{Shell, generate};

use super::definition;

/// The line that installs it, for each shell.
const INSTALL: &str = "\
Install it, and open a new shell (where the folder isn't there, `mkdir -p` it):
  bash        palisade completions bash > ~/.local/share/bash-completion/completions/palisade
  zsh         palisade completions zsh > \"${fpath[1]}/_palisade\"
  fish        palisade completions fish > ~/.config/fish/completions/palisade.fish
  elvish      palisade completions elvish >> ~/.config/elvish/rc.elv
  powershell  palisade completions powershell >> $PROFILE";

#[derive(Debug, clap::Args)]
#[command(after_help = INSTALL)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The script, for the shell to read.
pub(crate) fn run(arguments: &Arguments) -> String {
    let mut script = Vec::new();
    generate(arguments.shell, &mut definition(), "palisade", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn each_shell_completes_what_is_built_and_nothing_else() {
        for shell in Shell::value_variants() {
            let script = run(&Arguments { shell: *shell });
            for word in ["serve", "config", "schema", "guard-role"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            for word in super::super::UNBUILT {
                assert!(!script.contains(word), "{shell}: {word}");
            }
        }
    }
}
