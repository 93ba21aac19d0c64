//! Real shortages: not a call that is made to fail, but a machine on which it does, from one moment on
//! until the run is over. They strike dpkg as well.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use host::{IoContext, Result};
use machines::Scratch;
use maintscript::Policy;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

use crate::seed;
use crate::writer::FOLDER;

/// What there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shortage {
    /// No byte is left on the machine's disk.
    FullDisk,
    /// No inode is left there.
    NoInodes,
    /// The package's state was remounted read-only.
    ReadOnlyState,
    /// The captured files were.
    ReadOnlyFiles,
    /// `/proc` is not mounted.
    NoProc,
    /// The clock went back by more than a year.
    ClockBack,
    /// It went forward as far.
    ClockForth,
}

/// How far a clock jumps, in seconds: 400 days, so that no unit of time stays as it was.
const JUMP: i64 = 400 * 86_400;

/// More than any flow needs, and soon filled.
const MEBIBYTES: u32 = 160;
const INODES: u32 = 4096;

impl Shortage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::FullDisk,
        Self::NoInodes,
        Self::ReadOnlyState,
        Self::ReadOnlyFiles,
        Self::NoProc,
        Self::ClockBack,
        Self::ClockForth,
    ];

    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full-disk",
            Self::NoInodes => "no-inodes",
            Self::ReadOnlyState => "ro-state",
            Self::ReadOnlyFiles => "ro-files",
            Self::NoProc => "no-proc",
            Self::ClockBack => "clock-back",
            Self::ClockForth => "clock-forth",
        }
    }

    /// Whether something can't be written until the run is over.
    pub fn bars_writing(self) -> bool {
        !matches!(self, Self::NoProc | Self::ClockBack | Self::ClockForth)
    }

    /// By how many seconds scripts see the clock wrong.
    pub fn clock(self) -> i64 {
        match self {
            Self::ClockBack => -JUMP,
            Self::ClockForth => JUMP,
            _ => 0,
        }
    }

    /// What a machine's writable layer lies on, so that it can run short.
    pub fn scratch(self) -> Scratch {
        match self {
            Self::FullDisk | Self::NoInodes => Scratch::Small { mebibytes: MEBIBYTES, inodes: INODES },
            _ => Scratch::Memory,
        }
    }

    /// Lets it begin. Runs on the machine.
    pub fn strike(self, policy: &Policy) -> Result<()> {
        match self {
            Self::FullDisk => fill(),
            Self::NoInodes => use_up(),
            Self::ReadOnlyState | Self::ReadOnlyFiles => self.folders(policy).iter().try_for_each(|folder| {
                let doing = || format!("cannot remount {} read-only", folder.display());
                mount_bind(folder, folder).doing(doing)?;
                mount_remount(folder, MountFlags::BIND | MountFlags::RDONLY, "").doing(doing)
            }),
            Self::NoProc => unmount("/proc", UnmountFlags::DETACH).doing(|| "cannot unmount /proc"),
            Self::ClockBack | Self::ClockForth => Ok(()),
        }
    }

    /// Lets it end. Runs on the machine.
    pub fn mend(self, policy: &Policy) -> Result<()> {
        match self {
            Self::FullDisk | Self::NoInodes => host::files::remove_tree(&ballast()),
            Self::ReadOnlyState | Self::ReadOnlyFiles => {
                self.folders(policy).iter().rev().try_for_each(|f| {
                    unmount(f, UnmountFlags::DETACH).doing(|| format!("cannot unmount {}", f.display()))
                })
            }
            Self::NoProc => mount("proc", "/proc", "proc", MountFlags::empty(), None).doing(|| "cannot mount /proc"),
            Self::ClockBack | Self::ClockForth => Ok(()),
        }
    }

    /// The folders that it makes read-only, none of which lies in another.
    fn folders(self, policy: &Policy) -> Vec<PathBuf> {
        if self == Self::ReadOnlyState {
            return vec![policy.state.clone()];
        }
        let mut out: Vec<PathBuf> = Vec::new();
        for folder in seed::files(policy).iter().filter(|f| f.writable).filter_map(|f| f.path.parent()) {
            if folder.is_dir() && !out.iter().any(|o| folder.starts_with(o)) {
                out.push(folder.to_owned());
            }
        }
        out
    }
}

fn ballast() -> PathBuf {
    Path::new(FOLDER).join("ballast")
}

fn fill() -> Result<()> {
    let mut file = File::create(ballast()).doing(|| "cannot fill the disk")?;
    for size in [1 << 20, 4096, 1] {
        let chunk = vec![0; size];
        while file.write(&chunk).is_ok_and(|n| n > 0) {}
    }
    Ok(())
}

fn use_up() -> Result<()> {
    fs::create_dir(ballast()).doing(|| "cannot use up the inodes")?;
    let mut name = 0;
    while File::create(ballast().join(name.to_string())).is_ok() {
        name += 1;
    }
    Ok(())
}
