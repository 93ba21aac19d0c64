//! The command line.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, ValueEnum};

use crate::fault::Disk;
use crate::sabotage::Sabotage;

/// The command line as clap sees it, for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

const EXIT_CODES: &str = "\
Exit codes: 0 nothing broke, 1 something broke or the drill could not go on, 2 usage.";

/// Take a package through every call dpkg makes, at every fault
///
/// The package is installed, upgraded, removed and so on in throw-away roots, thousands of times:
/// each of its maintainer scripts fails in turn, then each later one; at every system call by which
/// they change something they are killed, or the call fails. After each run, and after what heals
/// it, what has to hold is checked. Needs root, mmdebstrap, and a machine that runs Linux on x86-64.
#[derive(Debug, Parser)]
#[command(name = "debseal-drill", version, about, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The version that is installed before an upgrade [default: FILE under a lower version, both without a
    /// signature]
    #[arg(long, value_name = "OLD.deb")]
    pub(crate) old: Option<PathBuf>,
    /// What a package captures whose scripts don't carry it
    #[arg(long, value_name = "TOML")]
    pub(crate) hooks: Option<PathBuf>,
    /// Cut each file of the payload after 64 KiB: most of a run is dpkg unpacking programs. For packages whose
    /// scripts run none of their own
    #[arg(long, conflicts_with_all = ["meanwhile", "cluster"])]
    pub(crate) light: bool,
    /// The Debian release
    #[arg(long, value_enum, default_value_t = Suite::Bookworm)]
    pub(crate) suite: Suite,
    /// Where roots are kept [default: $DEBROOTS, else ~/.cache/debseal-drill]
    #[arg(long, value_name = "DIR")]
    pub(crate) roots: Option<PathBuf>,
    /// Only these flows (may be repeated)
    #[arg(long = "flow", value_name = "FLOW")]
    pub(crate) flows: Vec<String>,
    /// Only points with this fault (may be repeated)
    #[arg(long = "fault", value_name = "FAULT")]
    pub(crate) faults: Vec<String>,
    /// Cut the power instead, on a disk with this file system (may be repeated)
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) power: Vec<Disk>,
    /// Make the machine a node of a cluster, by a stand-in for pmxcfs; its faults are tried, and the
    /// others at the calls under /etc/pve
    #[arg(long, conflicts_with = "power")]
    pub(crate) cluster: bool,
    /// What an operator does at the same time, by a shell: the fault `operator`
    #[arg(long, value_name = "COMMAND")]
    pub(crate) meanwhile: Option<String>,
    /// Only points whose call, as --list shows it, contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) site: Option<String>,
    /// Try so many of the points, chosen by the seed, instead of all
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// Chooses the sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Only every Nth point, from the Kth on: N such runs try all
    #[arg(long, value_name = "K/N", value_parser = part)]
    pub(crate) part: Option<(usize, usize)>,
    /// Begin no run after so many minutes; the report counts what is left
    #[arg(long, value_name = "N")]
    pub(crate) minutes: Option<u64>,
    /// Run this case alone, and show what dpkg said and which calls were made
    #[arg(long, value_name = "CASE", conflicts_with_all = ["sample", "flows", "list"])]
    pub(crate) only: Option<String>,
    /// Name the points instead of trying them
    #[arg(long)]
    pub(crate) list: bool,
    /// How many machines at once [default: one for each processor]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// Write a JUnit report here as well
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Break the scripts on purpose, to see whether the drill notices
    #[arg(long, value_enum, value_name = "DEFECT")]
    pub(crate) sabotage: Option<Sabotage>,
    /// The package
    #[arg(value_name = "FILE.deb")]
    pub(crate) file: PathBuf,
}

/// `2/5`: the second of five.
fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    numbers.filter(|(k, n)| 1 <= *k && k <= n).ok_or_else(|| "a part is like 2/5: the second of five".to_owned())
}

/// For whom the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs; carries schema_version.
    Json,
}

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl From<Suite> for machines::Suite {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::Bookworm => Self::Bookworm,
            Suite::Trixie => Self::Trixie,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }

    #[test]
    fn a_part_is_one_of_so_many() {
        assert_eq!(part("2/5"), Ok((2, 5)));
        for wrong in ["", "2", "0/5", "6/5", "1/0", "a/b"] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
