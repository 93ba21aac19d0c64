//! Completions, under the file names that bash-completion, zsh and fish look for.

use clap::Command;
use clap_complete::{Shell, generate};

/// Folder, file name and script for each shell.
pub(crate) fn all(mut cli: Command) -> Vec<(&'static str, String, Vec<u8>)> {
    let program = cli.get_name().to_owned();
    [
        ("bash", Shell::Bash, program.clone()),
        ("zsh", Shell::Zsh, format!("_{program}")),
        ("fish", Shell::Fish, format!("{program}.fish")),
    ]
    .map(|(folder, shell, file)| {
        let mut script = Vec::new();
        generate(shell, &mut cli, &program, &mut script);
        (folder, file, script)
    })
    .into()
}
