//! A stand-in for pmxcfs, the file system at `/etc/pve` of every node of a Proxmox VE cluster.
//!
//! The real one needs corosync and Proxmox's packages, which can't be had everywhere; what matters
//! to us is how its files behave, and what goes wrong with them. Both are here, by real FUSE
//! mounts: programs on a node see what they would see there (docs/pmxcfs.md), and a test makes
//! quorum go, calls fail, the daemon die, or another node write, at the very call it names.
//!
//! ```no_run
//! use pmxcfs::{Membership, Pmxcfs};
//! # let process_1 = 1;
//! let cluster = Pmxcfs::with(["a", "b", "c"]);
//! // A machine whose mounts are those of this process.
//! let a = Membership::join(&cluster, "a", process_1)?;
//! cluster.on("b").writes("datacenter.cfg", "keyboard: de\n");
//! cluster.on("a").loses_quorum();
//! # Ok::<(), host::Error>(())
//! ```
//!
//! The system tests' rig and the fault drill stand on it. Where it can't do what it is asked it panics,
//! as test helpers do; what depends on the machine returns an error.
//!
//! ```text
//!   db         what the cluster holds, and pmxcfs' rules; one for all nodes
//!   daemon     one node's daemon, to be made to fail
//!   condition  what one node suffers, and what is planned for its next calls
//!   fs         a node's view, as the kernel asks for it
//!   mount      puts it at the node's /etc/pve
//! ```
//!
//! Known difference: nodes agree by a mutex instead of by messages, so none ever lags behind while
//! it has quorum. It never ships, and never speaks to a real cluster.

mod condition;
mod daemon;
mod db;
mod fs;
mod mount;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

pub use condition::Fault;
use condition::{Condition, Verdict};
pub use daemon::Daemon;
use db::Db;
pub use db::MAX_FILE_SIZE;
pub use fs::WWW_DATA;
use mount::{Place, Served};

/// What `.version` counts changes of, as far as it may matter to us; our own file is not among it.
const WATCHED: [&str; 14] = [
    "corosync.conf",
    "storage.cfg",
    "user.cfg",
    "domains.cfg",
    "datacenter.cfg",
    "jobs.cfg",
    "sdn/zones.cfg",
    "sdn/vnets.cfg",
    "sdn/subnets.cfg",
    "sdn/controllers.cfg",
    "sdn/ipams.cfg",
    "sdn/dns.cfg",
    "sdn/fabrics.cfg",
    "sdn/.running-config",
];

/// A cluster's `/etc/pve`, shared by its nodes. Clones are the same cluster.
#[derive(Clone)]
pub struct Pmxcfs(Arc<Cluster>);

/// What all nodes share.
struct Cluster {
    db: Mutex<Db>,
    nodes: BTreeMap<String, Peer>,
}

/// One node's part. Locks are taken in this order, after the database's.
#[derive(Default)]
struct Peer {
    condition: Mutex<Condition>,
    mounted: Mutex<Option<Mounted>>,
}

/// Where a node has it mounted, and who answers for it there.
struct Mounted {
    place: Place,
    daemon: Option<Served>,
}

/// A test that has panicked elsewhere must not hide its cause behind a poisoned lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this kernel can mount a cluster's `/etc/pve`.
pub fn can_mount() -> bool {
    // Looking at the device loads the kernel's module.
    let device = std::fs::File::open("/dev/fuse").is_ok();
    let kinds = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    device || kinds.lines().any(|line| line.ends_with("\tfuse"))
}

impl Pmxcfs {
    /// A cluster of these nodes, all of them with quorum, and nothing in it but the folders that
    /// Proxmox VE makes.
    pub fn with<const N: usize>(nodes: [&str; N]) -> Self {
        let peers = nodes.iter().map(|node| ((*node).to_owned(), Peer::default())).collect();
        Self(Arc::new(Cluster { db: Mutex::new(Db::new(&nodes)), nodes: peers }))
    }

    /// Another cluster that holds what this one holds now. Its nodes have quorum, and no machine.
    pub fn copy(&self) -> Self {
        let nodes = self.0.nodes.keys().map(|node| (node.clone(), Peer::default())).collect();
        Self(Arc::new(Cluster { db: Mutex::new(locked(&self.0.db).clone()), nodes }))
    }

    /// Every file by its path, with its content.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let db = locked(&self.0.db);
        let file = |(path, entry): (&String, &db::Entry)| Some((path.clone(), entry.content.clone()?));
        db.all().filter_map(file).collect()
    }

    /// The daemon of one node.
    #[track_caller]
    pub fn on(&self, node: &str) -> Daemon<'_> {
        match self.0.nodes.get_key_value(node) {
            Some((name, peer)) => Daemon { cluster: self, name, peer },
            None => panic!("there is no node {node} in this cluster"),
        }
    }

    /// What a file holds for those that have quorum; `None` if there is no such file.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        locked(&self.0.db).get(path)?.content.clone()
    }

    /// The same as text.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        match self.content(path) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => panic!("there is no file {path} in the cluster"),
        }
    }

    /// The names in a folder, sorted; nothing if there is no such folder.
    pub fn ls(&self, path: &str) -> Vec<String> {
        locked(&self.0.db).names(path).into_iter().map(|(name, _)| name.to_owned()).collect()
    }

    /// After what time a lock may be dropped; 120 s if nothing is said.
    pub fn set_lock_timeout(&self, timeout: Duration) {
        locked(&self.0.db).set_lock_timeout(timeout);
    }

    /// How many file systems are being answered for.
    pub fn daemons(&self) -> usize {
        let alive = |peer: &&Peer| {
            let mounted = locked(&peer.mounted);
            mounted.as_ref().and_then(|m| m.daemon.as_ref()).is_some_and(|d| !d.has_ended())
        };
        self.0.nodes.values().filter(alive).count()
    }
}

impl Cluster {
    fn peer(&self, node: &str) -> &Peer {
        &self.nodes[node]
    }

    fn looks_quorate(&self, node: &str) -> bool {
        locked(&self.peer(node).condition).looks_quorate()
    }

    /// What the node sees.
    fn view<T>(&self, node: &str, look: impl FnOnce(&Db) -> T) -> T {
        let db = locked(&self.db);
        let condition = locked(&self.peer(node).condition);
        look(condition.last_seen.as_ref().unwrap_or(&db))
    }

    /// Takes note of a call that never reaches the database.
    fn note(&self, node: &str, what: String) {
        locked(&self.peer(node).condition).log.push(what);
    }

    /// A mutating call: what is planned for it, what the node suffers, then the database's own
    /// answer. `act` gets how many bytes may be written at most.
    fn change<T>(
        self: &Arc<Self>,
        node: &str,
        what: String,
        act: impl FnOnce(&mut Db, usize) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let peer = self.peer(node);
        let mut faults = locked(&peer.condition).begin(what);
        let happens = faults.extract_if(.., |fault| matches!(fault, Fault::Before(_))).collect::<Vec<_>>();
        for fault in happens {
            if let Fault::Before(happens) = fault {
                happens(&Pmxcfs(Arc::clone(self)));
            }
        }
        let mut db = locked(&self.db);
        let verdict = locked(&peer.condition).judge(faults);
        match verdict {
            Verdict::Goes => act(&mut db, usize::MAX),
            Verdict::Short(most) => act(&mut db, most),
            Verdict::DoneButBusy => act(&mut db, usize::MAX).and(Err(Errno::BUSY)),
            Verdict::Fails(errno) => Err(errno),
        }
    }

    fn version_text(&self, node: &str) -> Vec<u8> {
        self.view(node, |db| {
            let mut whole = serde_json::json!({ "starttime": 1, "clinfo": self.nodes.len(), "vmlist": 1 });
            for path in WATCHED {
                whole[path] = db.changes.get(path).copied().unwrap_or_default().into();
            }
            whole.to_string().into_bytes()
        })
    }

    fn members_text(&self, node: &str) -> Vec<u8> {
        let quorate = u8::from(self.looks_quorate(node));
        let online = |name: &str| u8::from(name == node || self.looks_quorate(name));
        let list: serde_json::Map<String, serde_json::Value> = self
            .nodes
            .keys()
            .zip(1..)
            .map(|(name, id)| (name.clone(), serde_json::json!({ "id": id, "online": online(name) })))
            .collect();
        let cluster = serde_json::json!({ "name": "rig", "version": 1, "nodes": self.nodes.len(), "quorate": quorate });
        serde_json::json!({ "nodename": node, "version": 1, "cluster": cluster, "nodelist": list })
            .to_string()
            .into_bytes()
    }
}

/// A machine's place in a cluster: ends its daemon when the machine goes.
pub struct Membership {
    cluster: Pmxcfs,
    name: String,
}

impl Membership {
    /// Starts the daemon of node `name` on the machine where `process` lives.
    ///
    /// # Errors
    /// Another machine is that node already, or it can't be mounted there.
    #[track_caller]
    pub fn join(cluster: &Pmxcfs, name: &str, process: u32) -> host::Result<Self> {
        let daemon = cluster.on(name);
        {
            let mut mounted = locked(&daemon.peer.mounted);
            if mounted.is_some() {
                return Err(host::Error::new(format!("another machine is node {name} already")));
            }
            *mounted = Some(Mounted { place: Place::of(process)?, daemon: None });
        }
        let member = Self { cluster: cluster.clone(), name: name.to_owned() };
        daemon.starts()?;
        Ok(member)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mounted = locked(&self.cluster.0.peer(&self.name).mounted).take();
        if let Some(daemon) = mounted.and_then(|m| m.daemon) {
            // The machine goes, and its mounts with it; a test that failed has said why already.
            let _ = daemon.end();
        }
    }
}
