//! What the packages say about their programs, made from the programs' own command lines.
//!
//! ```text
//!   cli() of each program ─┬─► man          OUTDIR/<package>/man1/*.1 man8/*.8   one page a command and subcommand
//!    (clap's own tree)     └─► completions                   bash/ zsh/ fish/    under the names each shell looks for
//! ```
//!
//! It never runs a program, and nothing here knows what one does: a flag is documented where it is defined, and so can't
//! be documented wrongly here. The same programs give the same bytes; no clock and no environment
//! is asked. The folders named above are made anew on each run, for a page whose command is gone
//! would be packaged along with the others.

mod completions;
mod man;

use std::fs;
use std::path::Path;

use clap::Command;
use host::{IoContext, Result};

/// A program and the section of the manual that it belongs to.
struct Program {
    cli: Command,
    section: char,
}

/// The programs of each package.
fn packages() -> Vec<(&'static str, Vec<Program>)> {
    let user = |cli| Program { cli, section: '1' };
    let daemon = |cli| Program { cli, section: '8' };
    vec![
        (
            "pve-network-rs",
            vec![
                user(ctl::cli()),
                user(network::pvenet::cli()),
                user(network::legacy::cli()),
                user(contract::cli()),
                user(canary::cli()),
                daemon(service::cli()),
                daemon(service::middleware::cli()),
            ],
        ),
        ("debseal", vec![user(debseal::cli::cli())]),
        // Never in a package for nodes: its page goes beside it in dist/.
        ("debseal-drill", vec![user(drill::cli::cli())]),
    ]
}

/// Writes everything below `outdir`; how many files that are.
pub fn write_all(outdir: &Path) -> Result<usize> {
    let mut count = 0;
    for (package, programs) in packages() {
        count += write_package(&outdir.join(package), programs)?;
    }
    Ok(count)
}

fn write_package(folder: &Path, programs: Vec<Program>) -> Result<usize> {
    for made in ["man1", "man8", "bash", "zsh", "fish"] {
        let dir = folder.join(made);
        if dir.exists() {
            fs::remove_dir_all(&dir).doing(|| format!("cannot remove {}", dir.display()))?;
        }
    }
    let mut count = 0;
    for program in programs {
        for (shell, name, script) in completions::all(program.cli.clone()) {
            count += write(&folder.join(shell), &name, &script)?;
        }
        for (name, page) in man::all(program.cli, program.section)? {
            count += write(&folder.join(format!("man{}", program.section)), &name, &page)?;
        }
    }
    Ok(count)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<usize> {
    fs::create_dir_all(folder).doing(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join(name);
    fs::write(&file, bytes).doing(|| format!("cannot write {}", file.display()))?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut todo = vec![dir.to_owned()];
        while let Some(at) = todo.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    files.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    #[test]
    fn the_same_programs_give_the_same_bytes_and_stale_pages_go() {
        let dir = tempfile::tempdir().unwrap();
        let count = write_all(dir.path()).unwrap();
        let first = tree(dir.path());
        assert_eq!(first.len(), count);
        fs::write(dir.path().join("pve-network-rs/man1/migration-ctl-gone.1"), "old").unwrap();
        fs::write(dir.path().join("mine"), "not of pages").unwrap();
        write_all(dir.path()).unwrap();
        let mut second = tree(dir.path());
        assert!(second.remove(Path::new("mine")).is_some());
        assert_eq!(first, second);
    }

    #[test]
    fn every_program_has_a_page_and_three_completions() {
        let dir = tempfile::tempdir().unwrap();
        write_all(dir.path()).unwrap();
        let files = tree(dir.path());
        for (package, section, name) in [
            ("pve-network-rs", 1, "migration-ctl"),
            ("pve-network-rs", 1, "pvenet"),
            ("pve-network-rs", 1, "pvenet-legacy"),
            ("pve-network-rs", 1, "canary"),
            ("pve-network-rs", 8, "pve-network-rs-daemon"),
            ("pve-network-rs", 8, "pve-network-migration"),
            ("debseal", 1, "debseal"),
            ("debseal-drill", 1, "debseal-drill"),
        ] {
            for file in [
                format!("man{section}/{name}.{section}"),
                format!("bash/{name}"),
                format!("zsh/_{name}"),
                format!("fish/{name}.fish"),
            ] {
                assert!(files.contains_key(&Path::new(package).join(&file)), "{package}: {file}");
            }
        }
        assert!(files.contains_key(Path::new("pve-network-rs/man1/migration-ctl-phase-set.1")));
    }
}
