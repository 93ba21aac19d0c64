//! What can go wrong at a call.

use std::fmt;
use std::str::FromStr;

use host::{Error, Kind, Result};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::cluster::{self, Trouble};
use crate::shortage::Shortage;
use crate::syscalls::{Effect, Known};
use crate::trace::{Act, OUTPUT};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL for the script.
    KillScript,
    /// SIGKILL for dpkg and all below it.
    KillTree,
    /// SIGTERM for the script.
    Term,
    /// SIGHUP for the script.
    Hup,
    /// Half of a write is written.
    ShortWrite,
    /// The call fails, and the next ones work again.
    Once(Failure),
    /// The call fails, and so does every later one of the run that can.
    From(Failure),
    /// An admin saves a captured file in this moment.
    Admin,
    /// The power is cut while the disk has this file system.
    Power(Disk),
    /// Another writer of the package's own writes captured files in this moment, if it gets the lock.
    Writer,
    /// Something real runs out in this moment, until the run is over.
    Shortage(Shortage),
    /// Somebody starts another dpkg in this moment.
    SecondDpkg,
    /// Another writer of the package's own begins in this moment, and waits for the lock.
    WaitingWriter,
    /// The cluster fails, or another of its nodes writes.
    Cluster(Trouble),
    /// The operator runs the command of `--meanwhile`, which may wait for the lock.
    Operator,
}

/// Error numbers that a disk, a quota or a cluster gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// No space left.
    Enospc,
    /// Input/output error.
    Eio,
    /// Read-only file system.
    Erofs,
    /// Quota exceeded.
    Edquot,
    /// Permission denied: what pmxcfs says without quorum.
    Eacces,
}

/// A file system that is cut from its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Disk {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl Disk {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// As mount(8) names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

impl Failure {
    const ALL: [Self; 5] = [Self::Enospc, Self::Eio, Self::Erofs, Self::Edquot, Self::Eacces];

    fn name(self) -> &'static str {
        match self {
            Self::Enospc => "enospc",
            Self::Eio => "eio",
            Self::Erofs => "erofs",
            Self::Edquot => "edquot",
            Self::Eacces => "eacces",
        }
    }

    /// What the program sees.
    pub fn result(self) -> i64 {
        let number = match self {
            Self::Enospc => Errno::ENOSPC,
            Self::Eio => Errno::EIO,
            Self::Erofs => Errno::EROFS,
            Self::Edquot => Errno::EDQUOT,
            Self::Eacces => Errno::EACCES,
        };
        -i64::from(number as i32)
    }

    /// Whether a call of this kind can fail so.
    pub fn can_hit(self, known: &Known, path: &str) -> bool {
        if path == OUTPUT {
            // The terminal is gone, or the log's disk is full.
            return matches!(self, Self::Eio | Self::Enospc);
        }
        match known.effect {
            Effect::Lock => false,
            Effect::Remove => !matches!(self, Self::Enospc | Self::Edquot),
            Effect::Write | Effect::Sync | Effect::Attributes => self != Self::Eacces,
            Effect::Open | Effect::Create | Effect::Rename => true,
        }
    }
}

impl Fault {
    /// All of them but power cuts, which need a disk each.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain =
            [Self::KillScript, Self::KillTree, Self::Term, Self::Hup, Self::ShortWrite, Self::Admin, Self::Writer];
        let meanwhile = [Self::SecondDpkg, Self::WaitingWriter, Self::Operator];
        plain
            .into_iter()
            .chain(Failure::ALL.into_iter().flat_map(|f| [Self::Once(f), Self::From(f)]))
            .chain(Shortage::ALL.map(Self::Shortage))
            .chain(Trouble::ALL.map(Self::Cluster))
            .chain(meanwhile)
    }

    /// Whether it comes from outside of the script, and so is the same whichever scripts fail.
    pub fn is_anothers(self) -> bool {
        matches!(self, Self::Admin | Self::Writer | Self::WaitingWriter | Self::SecondDpkg | Self::Operator)
            || matches!(self, Self::Shortage(_))
    }

    /// Whether it needs the package's own programs, or its state.
    pub fn needs_the_package(self) -> bool {
        matches!(self, Self::Writer | Self::WaitingWriter | Self::Operator)
    }

    /// Whether calls fail because of it.
    pub fn fails_calls(self) -> bool {
        match self {
            Self::Once(_) | Self::From(_) => true,
            Self::Shortage(shortage) => shortage.bars_writing(),
            Self::Cluster(trouble) => trouble != Trouble::OtherNode,
            _ => false,
        }
    }

    /// Whether it makes sense at this call.
    pub fn can_hit(self, known: &Known, path: &str, length: u64) -> bool {
        match self {
            Self::ShortWrite => known.effect == Effect::Write && length > 1,
            Self::Once(failure) | Self::From(failure) => failure.can_hit(known, path),
            // Where a script begins and wherever something is about to count.
            Self::Cluster(_) if cluster::holds(path) => true,
            Self::Shortage(_) | Self::Cluster(_) | Self::SecondDpkg | Self::WaitingWriter | Self::Operator => {
                matches!(known.effect, Effect::Lock | Effect::Rename)
            }
            Self::Power(_) => path != OUTPUT && !matches!(known.effect, Effect::Lock),
            _ => true,
        }
    }

    /// What the tracer does. Others' writes are done by the director itself.
    pub fn act(self) -> Act {
        match self {
            Self::KillScript => Act::KillScript,
            Self::KillTree => Act::KillTree,
            Self::Term => Act::Send(Signal::SIGTERM),
            Self::Hup => Act::Send(Signal::SIGHUP),
            Self::ShortWrite => Act::Half,
            Self::Once(failure) | Self::From(failure) => Act::Return(failure.result()),
            // The picture has been taken; what happens from here on nobody remembers.
            Self::Power(_) => Act::KillTree,
            Self::Admin
            | Self::Writer
            | Self::Shortage(_)
            | Self::Cluster(_)
            | Self::SecondDpkg
            | Self::WaitingWriter
            | Self::Operator => Act::Go,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillScript => f.write_str("kill-script"),
            Self::KillTree => f.write_str("kill-tree"),
            Self::Term => f.write_str("term"),
            Self::Hup => f.write_str("hup"),
            Self::ShortWrite => f.write_str("short-write"),
            Self::Once(failure) => f.write_str(failure.name()),
            Self::From(failure) => write!(f, "{}-from", failure.name()),
            Self::Power(disk) => write!(f, "power-{}", disk.name()),
            Self::Admin => f.write_str("admin"),
            Self::Writer => f.write_str("writer"),
            Self::Shortage(shortage) => f.write_str(shortage.name()),
            Self::Cluster(trouble) => f.write_str(trouble.name()),
            Self::SecondDpkg => f.write_str("second-dpkg"),
            Self::WaitingWriter => f.write_str("waiting-writer"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = || Self::all().chain(Disk::ALL.map(Self::Power));
        all().find(|f| f.to_string() == text).ok_or_else(|| {
            let names: Vec<String> = all().map(|f| f.to_string()).collect();
            Error::of(Kind::Usage, format!("{text:?} is no fault; there are {}", names.join(", ")))
        })
    }
}
