//! `bash-package OUT.deb`: our payload with scripts in bash, to be put through the same drill as ours:
//! `debseal-drill OUT.deb --hooks debian/hooks.toml`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(out) = std::env::args_os().nth(1) else {
        eprintln!("bash-package: where to? bash-package OUT.deb");
        return ExitCode::from(2);
    };
    let key = rig::Keyring::new("Drill <drill@example.invalid>");
    let deb = rig::bash::package(&rig::dist::payload(), &key);
    match std::fs::copy(deb.path(), &out) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bash-package: cannot write {}: {error}", out.display());
            ExitCode::FAILURE
        }
    }
}
