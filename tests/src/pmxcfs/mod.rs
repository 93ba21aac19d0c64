//! A stand-in for pmxcfs, the file system at `/etc/pve` of every node of a Proxmox VE cluster.
//!
//! The real one needs corosync and Proxmox's packages, which can't be had everywhere; what matters
//! to us is how its files behave, and what goes wrong with them. Both are here, by real FUSE
//! mounts: programs on a node see what they would see there (docs/pmxcfs.md), and a test makes
//! quorum go, calls fail, the daemon die, or another node write, at the very call it names.
//!
//! ```no_run
//! use rig::{Machine, Node, Pmxcfs};
//! let cluster = Pmxcfs::with(["a", "b", "c"]);
//! let a = Node::bookworm().named("a").in_cluster(&cluster, "a").boot();
//! cluster.on("b").writes("datacenter.cfg", "keyboard: de\n");
//! assert_eq!(a.text("/etc/pve/datacenter.cfg"), "keyboard: de\n");
//! cluster.on("a").loses_quorum();
//! a.sh("echo x >/etc/pve/y").fails().says("Permission denied");
//! ```
//!
//! ```text
//!   db         what the cluster holds, and pmxcfs' rules; one for all nodes
//!   condition  what one node suffers, and what is planned for its next calls
//!   fs         a node's view, as the kernel asks for it
//!   mount      puts it at the node's /etc/pve
//! ```
//!
//! Known difference: nodes agree by a mutex instead of by messages, so none ever lags behind while
//! it has quorum.

mod condition;
mod db;
mod fs;
mod mount;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

pub use condition::Fault;
use condition::{Condition, Quorum, Verdict};
use db::Db;
pub use db::MAX_FILE_SIZE;
pub use fs::WWW_DATA;
use mount::{Place, Served};

use crate::{Machine, Node, need_root};

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

/// Whether this test may mount a cluster's `/etc/pve`. If not, says so on stderr, and the test
/// should return.
#[must_use = "a test that needs FUSE has to return when there is none"]
pub fn need_fuse() -> bool {
    if !need_root() {
        return false;
    }
    // Looking at the device loads the kernel's module.
    let device = std::fs::File::open("/dev/fuse").is_ok();
    let kinds = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let known = device || kinds.lines().any(|line| line.ends_with("\tfuse"));
    if !known {
        crate::roots::skipped("needs FUSE in the kernel (modprobe fuse)");
    }
    known
}

impl Pmxcfs {
    /// A cluster of these nodes, all of them with quorum, and nothing in it but the folders that
    /// Proxmox VE makes.
    pub fn with<const N: usize>(nodes: [&str; N]) -> Self {
        let peers = nodes.iter().map(|node| ((*node).to_owned(), Peer::default())).collect();
        Self(Arc::new(Cluster { db: Mutex::new(Db::new(&nodes)), nodes: peers }))
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

/// One node's daemon, to be made to fail.
#[derive(Clone, Copy)]
pub struct Daemon<'c> {
    cluster: &'c Pmxcfs,
    name: &'c str,
    peer: &'c Peer,
}

impl Daemon<'_> {
    fn condition(&self) -> MutexGuard<'_, Condition> {
        locked(&self.peer.condition)
    }

    /// From now on its writes fail with EACCES, and it hears nothing of the others.
    pub fn loses_quorum(&self) {
        self.loses_quorum_slowly(0, Duration::ZERO);
    }

    /// Its next `refusals` writes fail with EPERM, later ones with EACCES; `local` still looks
    /// quorate for the time of `lag`.
    pub fn loses_quorum_slowly(&self, refusals: u32, lag: Duration) {
        let db = locked(&self.cluster.0.db);
        self.condition().lose_quorum(&db, refusals, lag);
    }

    /// It is back among the others and sees what they have written.
    pub fn has_quorum_again(&self) {
        let mut condition = self.condition();
        condition.quorum = Quorum::Yes;
        condition.last_seen = None;
    }

    /// Its next `calls` mutating calls are answered with EBUSY, as while it is syncing.
    pub fn is_busy_for(&self, calls: u32) {
        self.condition().busy = calls;
    }

    /// Something happens at its mutating call number `call` from now on, the first being 1.
    pub fn at_call(&self, call: usize, fault: Fault) {
        let mut condition = self.condition();
        let number = condition.calls + call;
        condition.plan.entry(number).or_default().push(fault);
    }

    /// Something happens between the mutating calls `call - 1` and `call` from now on.
    pub fn before_call(&self, call: usize, happens: impl FnOnce(&Pmxcfs) + Send + 'static) {
        self.at_call(call, Fault::Before(Box::new(happens)));
    }

    /// What it was asked to change so far, chmod and chown included, as in `rename a b`.
    pub fn log(&self) -> Vec<String> {
        self.condition().log.clone()
    }

    /// Writes a whole file by way of this node, as an editor would there.
    #[track_caller]
    pub fn writes(&self, path: &str, content: impl AsRef<[u8]>) {
        let mut db = locked(&self.cluster.0.db);
        if db.get(path).is_none() {
            make_dirs(&mut db, path, self.name);
            must(db.create(path, self.name), "create", path);
        }
        must(db.truncate(path, 0, self.name), "truncate", path);
        must(db.write(path, 0, content.as_ref(), self.name).map(drop), "write", path);
    }

    /// Removes a file or an empty folder by way of this node.
    #[track_caller]
    pub fn removes(&self, path: &str) {
        must(locked(&self.cluster.0.db).delete(path), "remove", path);
    }

    /// Takes a lock under `priv/lock` by way of this node; whether it got it.
    pub fn locks(&self, name: &str) -> bool {
        locked(&self.cluster.0.db).mkdir(&format!("priv/lock/{name}"), self.name).is_ok()
    }

    /// Its own locks are dropped, as if two minutes had gone by and somebody had asked.
    pub fn forgets_locks(&self) {
        let mut db = locked(&self.cluster.0.db);
        let own = |(name, entry): (&str, &db::Entry)| (entry.writer == self.name).then(|| format!("priv/lock/{name}"));
        let locks: Vec<String> = db.names("priv/lock").into_iter().filter_map(own).collect();
        for lock in locks {
            must(db.delete(&lock), "remove", &lock);
        }
    }

    /// What is planned for calls that have not come does not happen.
    pub fn forgets_plans(&self) {
        self.condition().plan.clear();
    }

    /// The daemon is killed: the mount stays, and everything fails with ENOTCONN. A call that it
    /// is working on fails with ECONNABORTED.
    #[track_caller]
    pub fn dies(&self) {
        if let Some(daemon) = locked(&self.peer.mounted).as_mut().and_then(|m| m.daemon.as_mut()) {
            daemon.die();
        }
    }

    /// pve-cluster.service is stopped: nothing is mounted any more.
    #[track_caller]
    pub fn unmounts(&self) {
        if let Some(mounted) = locked(&self.peer.mounted).as_ref() {
            done(mounted.place.unmount());
        }
    }

    /// What lies in `/etc/pve` itself after [`Daemon::unmounts`].
    #[track_caller]
    pub fn beneath(&self) -> Vec<String> {
        match locked(&self.peer.mounted).as_ref() {
            Some(mounted) => done(mounted.place.beneath()),
            None => panic!("{} has no machine", self.name),
        }
    }

    /// pve-cluster.service is started again after [`Daemon::dies`] or [`Daemon::unmounts`]. Like
    /// the real one, it refuses a folder that is not empty.
    ///
    /// # Errors
    /// It does not start; why.
    pub fn starts(&self) -> host::Result<()> {
        let mut mounted = locked(&self.peer.mounted);
        let Some(mounted) = mounted.as_mut() else { panic!("{} has no machine", self.name) };
        if let Some(old) = mounted.daemon.take() {
            old.end()?;
            // Gone already if it was stopped rather than killed.
            let _ = mounted.place.unmount();
        }
        mounted.daemon = Some(mounted.place.serve(fs::Fs::new(Arc::clone(&self.cluster.0), self.name))?);
        Ok(())
    }
}

#[track_caller]
fn must(answer: Result<(), Errno>, doing: &str, path: &str) {
    if let Err(error) = answer {
        panic!("cannot {doing} {path} in the cluster: {error}");
    }
}

#[track_caller]
fn done<T>(result: host::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

fn make_dirs(db: &mut Db, path: &str, writer: &str) {
    for (end, _) in path.match_indices('/') {
        // One that is there is as good.
        let _ = db.mkdir(&path[..end], writer);
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
pub(crate) struct Membership {
    cluster: Pmxcfs,
    name: String,
}

impl Membership {
    /// Installs pve-cluster on a machine, as far as files tell, and starts its daemon.
    #[track_caller]
    pub(crate) fn join(cluster: &Pmxcfs, name: &str, node: &Node) -> Self {
        let daemon = cluster.on(name);
        node.write_program("/usr/bin/pmxcfs", "#!/bin/sh\necho 'the rig serves /etc/pve' >&2\nexit 1\n");
        {
            let mut mounted = locked(&daemon.peer.mounted);
            assert!(mounted.is_none(), "another machine is node {name} already");
            *mounted = Some(Mounted { place: done(Place::of(node.process_1())), daemon: None });
        }
        let member = Self { cluster: cluster.clone(), name: name.to_owned() };
        done(daemon.starts());
        member
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
