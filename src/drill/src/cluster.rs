//! The cluster that a machine is a node of, where `--cluster` asks for one, and what goes wrong with it.
//! Its `/etc/pve` is served by the stand-in for pmxcfs, by a real FUSE mount.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::Result;
use host::cluster::MOUNT;
use maintscript::Policy;
use phase::{Migration, Phase};
use pmxcfs::{Daemon, Fault, Pmxcfs};

use crate::machine::HOSTNAME;
use crate::seed;

/// What goes wrong with the cluster, until the run is over unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trouble {
    /// pve-cluster.service was stopped.
    Unmounted,
    /// Its daemon was killed: everything fails with ENOTCONN.
    Dead,
    /// The node has no quorum: writes fail with EACCES.
    NoQuorum,
    /// It is losing it: EPERM, then EACCES, and for a while it still looks quorate.
    LosingQuorum,
    /// The next three changes are answered with EBUSY.
    Busy,
    /// All are.
    Syncing,
    /// The next change is made, and answered with EBUSY.
    LostAnswer,
    /// Another node writes in this moment, or as soon as it gets the lock.
    OtherNode,
}

/// As pmxcfs and the phase's own code name the lock.
const LOCK: &str = "pve-network-rs";
/// The other node that writes.
const OTHER: &str = "other";
/// What it raises its own phase to.
const RAISED: Phase = Phase::RustAdvanced;

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unmounted,
        Self::Dead,
        Self::NoQuorum,
        Self::LosingQuorum,
        Self::Busy,
        Self::Syncing,
        Self::LostAnswer,
        Self::OtherNode,
    ];

    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unmounted => "pve-unmounted",
            Self::Dead => "pve-dead",
            Self::NoQuorum => "pve-no-quorum",
            Self::LosingQuorum => "pve-losing-quorum",
            Self::Busy => "pve-busy",
            Self::Syncing => "pve-syncing",
            Self::LostAnswer => "pve-lost-answer",
            Self::OtherNode => "pve-other-node",
        }
    }
}

/// Whether a path is the cluster's.
pub fn holds(path: &str) -> bool {
    Path::new(path).starts_with(MOUNT)
}

/// A cluster of which only the drilled machine is a machine.
pub fn new() -> Pmxcfs {
    Pmxcfs::with([HOSTNAME, OTHER, "third"])
}

/// One run's cluster.
pub struct Cluster {
    pmxcfs: Pmxcfs,
    before: BTreeMap<String, Vec<u8>>,
    phase_file: Option<PathBuf>,
    shared: Option<PathBuf>,
    /// Whether another node still waits for the lock.
    waits: bool,
    /// What it has written.
    wrote: BTreeMap<PathBuf, String>,
}

/// What another node wrote.
#[derive(Debug, Default)]
pub struct Written {
    /// Captured files, with their digests.
    pub files: BTreeMap<PathBuf, String>,
    /// Its own phase, if it wrote that.
    pub phase: Option<(String, String)>,
}

impl Cluster {
    /// The cluster that a machine has joined.
    pub fn of(pmxcfs: Pmxcfs, policy: &Policy) -> Self {
        let shared = seed::files(policy).into_iter().find(|f| f.shared).map(|f| f.path);
        let phase_file = policy.phase.as_ref().map(|p| p.file.clone()).filter(|f| f.starts_with(MOUNT));
        Self { before: pmxcfs.files(), pmxcfs, phase_file, shared, waits: false, wrote: BTreeMap::new() }
    }

    fn daemon(&self) -> Daemon<'_> {
        self.pmxcfs.on(HOSTNAME)
    }

    /// Lets it begin.
    pub fn strike(&mut self, trouble: Trouble) -> Result<()> {
        match trouble {
            Trouble::Unmounted => return self.daemon().stops(),
            Trouble::Dead => self.daemon().dies(),
            Trouble::NoQuorum => self.daemon().loses_quorum(),
            Trouble::LosingQuorum => self.daemon().loses_quorum_slowly(1, Duration::from_millis(300)),
            Trouble::Busy => self.daemon().is_busy_for(3),
            Trouble::Syncing => self.daemon().is_busy_for(u32::MAX),
            Trouble::LostAnswer => self.daemon().at_call(1, Fault::DoneButBusy),
            Trouble::OtherNode => {
                self.waits = true;
                self.turn();
            }
        }
        Ok(())
    }

    /// Another node's turn, if it waits and gets the lock: everyone who uses the package takes it.
    pub fn turn(&mut self) {
        if !self.waits || !self.pmxcfs.on(OTHER).locks(LOCK) {
            return;
        }
        self.waits = false;
        if let Some(file) = &self.phase_file {
            let inside = inside(file);
            let raised = raised(self.pmxcfs.content(&inside));
            self.pmxcfs.on(OTHER).writes(&inside, &raised);
            self.wrote.insert(file.clone(), RAISED.to_string());
        }
        if let Some(file) = &self.shared {
            self.pmxcfs.on(OTHER).writes(&inside(file), seed::content(file, OTHER));
            self.wrote.insert(file.clone(), seed::digest_of(file, OTHER));
        }
        self.pmxcfs.on(OTHER).removes(&format!("priv/lock/{LOCK}"));
    }

    /// All is well again, and two minutes have gone by; what other nodes have written by then.
    ///
    /// # Errors
    /// pmxcfs does not start: something was written into its mount point.
    pub fn heal(&mut self, trouble: Option<Trouble>) -> Result<Written> {
        let daemon = self.daemon();
        daemon.forgets_plans();
        daemon.is_busy_for(0);
        daemon.has_quorum_again();
        if matches!(trouble, Some(Trouble::Unmounted | Trouble::Dead)) {
            daemon.starts()?;
        }
        self.pmxcfs.set_lock_timeout(Duration::ZERO);
        if self.waits {
            self.daemon().forgets_locks();
            self.turn();
        }
        let mut files = std::mem::take(&mut self.wrote);
        let phase = self.phase_file.as_ref().and_then(|f| files.remove(f)).map(|p| (OTHER.to_owned(), p));
        Ok(Written { files, phase })
    }

    /// Two minutes after a run that was cut off somebody asked for its lock, and pmxcfs dropped it.
    pub fn drop_locks(&self) {
        self.daemon().forgets_locks();
    }

    /// Locks that are held, by their paths.
    pub fn locks(&self) -> Vec<PathBuf> {
        self.pmxcfs.ls("priv/lock").into_iter().map(|name| Path::new(MOUNT).join("priv/lock").join(name)).collect()
    }

    /// Files that are not as they were when the run began, by their paths.
    pub fn changed(&self) -> Vec<PathBuf> {
        let now = self.pmxcfs.files();
        let all: BTreeSet<&String> = now.keys().chain(self.before.keys()).collect();
        let changed = all.into_iter().filter(|path| now.get(*path) != self.before.get(*path));
        changed.map(|path| Path::new(MOUNT).join(path)).collect()
    }
}

fn inside(path: &Path) -> String {
    path.strip_prefix(MOUNT).unwrap_or(path).to_string_lossy().into_owned()
}

/// The phase file with the other node's line raised, everything else as it was.
fn raised(now: Option<Vec<u8>>) -> String {
    let text = now.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_else(|| format!("phase = \"{}\"\n", Phase::PerlOnly));
    let section = format!("[nodes.{OTHER}]\n");
    let line = format!("{section}phase = \"{RAISED}\"\n");
    match text.split_once(&section) {
        Some((before, after)) => format!("{before}{line}{}", after.split_once('\n').map_or("", |(_, rest)| rest)),
        None => format!("{text}\n{line}"),
    }
}

/// This node's phase as the cluster's file says it. Runs on the machine.
pub fn own_phase(policy: &Policy) -> Option<String> {
    let text = std::fs::read_to_string(&policy.phase.as_ref()?.file).ok()?;
    let migration = Migration::parse(&text, "the phase file").ok()?;
    Some(migration.node_phase(HOSTNAME).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_node_raises_its_own_line_alone() {
        let phases = |text: &str| {
            let migration = Migration::parse(text, "x").unwrap();
            [HOSTNAME, OTHER, "third"].map(|n| migration.node_phase(n).to_string())
        };
        let text = "phase = \"perl-only\"\n\n[nodes.other]\nphase = \"rust-basic-write\"\n\n\
                    [nodes.drill1]\nphase = \"rust-read-only\"\n";
        for (before, after) in [
            (Some(text), ["rust-read-only", "rust-advanced", "perl-only"]),
            (Some("phase = \"rust-read-only\"\n"), ["rust-read-only", "rust-advanced", "rust-read-only"]),
            (None, ["perl-only", "rust-advanced", "perl-only"]),
        ] {
            assert_eq!(phases(&raised(before.map(|t| t.as_bytes().to_vec()))), after);
        }
    }

    #[test]
    fn a_waiting_node_writes_once_it_gets_the_lock() {
        let policy = Policy::parse(
            "format = 1\npackage = \"demo\"\nstate = \"/var/lib/demo\"\n\
             [[capture]]\npath = \"/etc/pve/sdn/*.cfg\"\nscope = \"cluster\"\nuse = \"restore\"\n",
        )
        .unwrap();
        let pmxcfs = new();
        let mut cluster = Cluster::of(pmxcfs.clone(), &policy);
        assert!(pmxcfs.on(HOSTNAME).locks(LOCK));
        cluster.strike(Trouble::OtherNode).unwrap();
        assert!(cluster.changed().is_empty(), "it waits");
        pmxcfs.on(HOSTNAME).removes("priv/lock/pve-network-rs");
        cluster.turn();
        assert_eq!(cluster.changed(), [Path::new("/etc/pve/sdn/drill.cfg")]);
        assert!(cluster.locks().is_empty());
        assert_eq!(cluster.heal(None).unwrap().files.len(), 1);
    }
}
