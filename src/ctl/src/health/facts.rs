//! What the judgement is made from, read once. Nothing here fails: what can't be read is a fact too.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use history::journal::Contents;
use history::{Captured, Transaction, snapshot};
use host::cluster::State as ClusterState;
use host::{Cluster, Result, Timestamp, cluster};
use phase::{Effective, Migration, Phase, config};
use seal::installed::{Options, Severity, check_installed};

use crate::Node;
use crate::pending::{self, Pending};
use crate::units::{self, Units};

/// How long Perl's API may take to answer the telephone.
const CALL: Duration = Duration::from_secs(3);

/// Everything that health judges.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) node: String,
    pub(crate) effective: Effective,
    /// What the cluster's file says for this node.
    pub(crate) wished: Option<Phase>,
    pub(crate) ceiling: Option<Phase>,
    /// Every node that the cluster's file or folder names, with what the file says for it.
    pub(crate) phases: Vec<(String, Phase)>,
    pub(crate) units: Units,
    pub(crate) cluster: ClusterState,
    pub(crate) api: Api,
    pub(crate) snapshots: Snapshots,
    pub(crate) room: std::result::Result<Room, String>,
    pub(crate) pending: Vec<Pending>,
    /// What differs from the sealed package, or why that can't be said.
    pub(crate) seal: std::result::Result<Vec<String>, String>,
    /// Overrides of a gate or step whose effect still stands, a line each. The phase's history
    /// knows them.
    pub(crate) overrides: Vec<Override>,
}

/// A step that an override justifies, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    pub(crate) line: String,
    pub(crate) expired: bool,
}

/// Whether somebody listens at `perl_api_base_url`. A connection is all that is tried: who answers
/// in TLS is pveproxy's own matter, and a web stack is not linked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) answered: std::result::Result<Duration, String>,
}

/// What there is to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Snapshots {
    pub(crate) count: usize,
    /// Of the newest: its name, its age in seconds, what is wrong with it, and whether the present
    /// state differs from it.
    pub(crate) newest: Option<Newest>,
    /// Others that can't be trusted.
    pub(crate) damaged: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) id: String,
    pub(crate) age: u64,
    pub(crate) defect: Option<String>,
    pub(crate) differs: bool,
}

/// Room on disk for one more snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free_kib: u64,
    pub(crate) needed_kib: u64,
    pub(crate) free_inodes: u64,
    pub(crate) needed_inodes: u64,
}

impl Room {
    /// Whether there is none for so many snapshots.
    pub(crate) const fn is_short(&self, snapshots: u64) -> bool {
        self.free_kib < self.needed_kib.saturating_mul(snapshots)
            || self.free_inodes < self.needed_inodes.saturating_mul(snapshots)
    }
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} KiB free, a snapshot needs {} KiB", self.free_kib, self.needed_kib)?;
        if self.is_short(10) {
            write!(f, ", and {} inodes of {} free", self.needed_inodes, self.free_inodes)?;
        }
        Ok(())
    }
}

impl Facts {
    /// Reads them.
    pub(crate) fn read(node: &Node) -> Self {
        let (store, switch) = (&node.store, &node.switch);
        let present = snapshot::present(store, true).unwrap_or_default();
        let migration = cluster::read(&store.root, &switch.migration, config::MAX_SIZE)
            .ok()
            .flatten()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| Migration::parse(&text, "migration.toml").ok());
        Self {
            node: store.node.clone(),
            effective: switch.effective(),
            wished: migration.as_ref().map(|m| m.node_phase(&store.node)),
            ceiling: switch.ceiling().ok().flatten(),
            phases: migration.as_ref().map(|m| phases(node, m)).unwrap_or_default(),
            units: units::of(node),
            cluster: Cluster::new(&store.root, &store.node).state(),
            api: call(migration.map_or_else(|| Migration::default().perl_api_base_url, |m| m.perl_api_base_url)),
            snapshots: snapshots(node, &present),
            room: room(node, &present).map_err(|e| e.to_string()),
            pending: pending(node),
            seal: seal_findings(node),
            overrides: overrides(node),
        }
    }
}

/// A history that can't be read is a finding of its own, and as bad as an override that is over.
fn overrides(node: &Node) -> Vec<Override> {
    match node.switch.open_overrides(node.store.clock.now().seconds()) {
        Ok(open) => open
            .into_iter()
            .map(|o| Override {
                line: format!(
                    "node {} from {} to {} until {}: {}",
                    o.node,
                    o.from,
                    o.to,
                    Timestamp::from_seconds(o.expires),
                    o.reason
                ),
                expired: o.expired,
            })
            .collect(),
        Err(error) => vec![Override { line: error.to_string(), expired: true }],
    }
}

fn phases(node: &Node, migration: &Migration) -> Vec<(String, Phase)> {
    let folder = node.store.root.path("/etc/pve/nodes");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .chain(migration.nodes.keys().cloned())
        .chain([node.store.node.clone()])
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| (name.clone(), migration.node_phase(&name))).collect()
}

/// Rings `https://HOST[:PORT]`.
fn call(url: String) -> Api {
    let begin = Instant::now();
    let answered = place(&url).ok_or_else(|| "it names no host".to_owned()).and_then(|place| {
        let addresses = place.to_socket_addrs().map_err(|e| e.to_string())?;
        let mut last = "its name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, CALL) {
                Ok(_) => return Ok(begin.elapsed()),
                Err(error) => last = host::Error::io("no connection", error).to_string(),
            }
        }
        Err(last)
    });
    Api { url, answered }
}

/// Host and port of an URL, as `ToSocketAddrs` wants them.
fn place(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let host = rest.split(['/', '?', '#']).next()?;
    if host.is_empty() {
        return None;
    }
    let after_bracket = host.rsplit(']').next()?;
    Some(if after_bracket.contains(':') { host.to_owned() } else { format!("{host}:443") })
}

fn snapshots(node: &Node, present: &Captured) -> Snapshots {
    let Ok(all) = snapshot::list(&node.store) else { return Snapshots::default() };
    let now = node.store.clock.now().seconds();
    let mut out = Snapshots { count: all.len(), ..Snapshots::default() };
    let newest = all.iter().rposition(|s| s.manifest.as_ref().map_or(true, |m| !m.undo));
    for (position, found) in all.iter().enumerate() {
        let defect = snapshot::verify(found).err().map(|e| e.to_string());
        if Some(position) == newest {
            let manifest = found.manifest.as_ref().ok();
            let age = manifest.map_or(0, |m| now - m.created).try_into().unwrap_or(0);
            let differs = manifest.is_none_or(|m| !same(&m.entries, &present.entries));
            out.newest = Some(Newest { id: found.id.clone(), age, defect, differs });
        } else if let Some(defect) = defect {
            out.damaged.push(defect);
        }
    }
    out
}

/// Whether the contents are the same, times and modes aside.
fn same(a: &[history::Entry], b: &[history::Entry]) -> bool {
    let digests = |of: &[history::Entry]| -> std::collections::BTreeMap<PathBuf, String> {
        let exists = |e: &&history::Entry| e.what.exists();
        of.iter().filter(exists).map(|e| (e.path.as_path().to_owned(), e.what.digest())).collect()
    };
    digests(a) == digests(b)
}

/// Room for one more snapshot of the present state; the figures are those of taking one.
pub(crate) fn room(node: &Node, present: &Captured) -> Result<Room> {
    let bytes: u64 = present.contents.iter().flatten().map(|c| (c.len() as u64).next_multiple_of(4096)).sum();
    let mut folder = node.store.backups();
    while !folder.is_dir() && folder.pop() {}
    let disk = rustix::fs::statvfs(&folder)
        .map_err(|e| host::Error::io(format!("cannot ask for the room in {}", folder.display()), e))?;
    Ok(Room {
        free_kib: disk.f_bavail * disk.f_frsize / 1024,
        needed_kib: (bytes + (256 << 10)) / 1024,
        free_inodes: if disk.f_files == 0 { u64::MAX } else { disk.f_favail },
        needed_inodes: present.entries.len() as u64 + 16,
    })
}

/// What `status` shows in rows of their own counts here as well.
fn pending(node: &Node) -> Vec<Pending> {
    let store = &node.store;
    let mut out = Vec::new();
    match Transaction::read(store) {
        Ok(Some(t)) if t.is_open() => {
            out.push(Pending::Configure(format!("dpkg has not finished configuring version {}", t.to)));
        }
        Ok(_) => {}
        Err(error) => out.push(Pending::Damaged(error.to_string())),
    }
    let contents = match store.journal().read() {
        Ok(Some(contents)) => contents,
        Ok(None) => {
            out.push(Pending::Damaged("there is no operation journal: who wrote what is unknown".into()));
            Contents::default()
        }
        Err(error) => {
            out.push(Pending::Damaged(error.to_string()));
            Contents::default()
        }
    };
    if contents.damaged > 0 {
        let what = format!("{} lines of the operation journal can't be read and are passed over", contents.damaged);
        out.push(Pending::Damaged(what));
    }
    out.extend(pending::find(store, &contents));
    out
}

/// The same comparison as `postinst` makes.
fn seal_findings(node: &Node) -> std::result::Result<Vec<String>, String> {
    let root = &node.store.root;
    let options = Options { foreign_owners: !root.is_system() };
    let found = check_installed(root, &root.path("/var/lib/dpkg"), &node.store.package, options);
    let found = found.map_err(|e| e.to_string())?;
    let errors = found.iter().filter(|f| f.severity == Severity::Error);
    Ok(errors.map(|f| format!("{} {}", f.path, f.what)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (url, expected) in [
            ("https://127.0.0.1:8006", Some("127.0.0.1:8006")),
            ("https://pve1/api", Some("pve1:443")),
            ("https://[fd00::1]:8006/", Some("[fd00::1]:8006")),
            ("https://[fd00::1]", Some("[fd00::1]:443")),
            ("https://", None),
            ("pve1:8006", None),
        ] {
            assert_eq!(place(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn who_listens_is_reached_and_who_does_not_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        assert!(call(url.clone()).answered.is_ok());
        drop(listener);
        let said = call(url).answered.unwrap_err();
        assert_eq!(said, "no connection: Connection refused");
    }
}
