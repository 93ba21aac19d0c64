//! What preflight judges, read once.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use history::journal::{Backend, Event, Outcome};
use history::{Captured, snapshot};
use host::cluster::State as ClusterState;
use host::{Cluster, Command, files};

use super::automation::{self, Found};
use crate::Node;
use crate::health::facts::{Room, room};

/// The exporter's port.
pub(crate) const PORT: u16 = 9187;

/// Everything that preflight judges.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) node: String,
    /// Program, the package it comes with, and whether it is there.
    pub(crate) tools: Vec<(&'static str, &'static str, bool)>,
    /// Package and version, where it is installed.
    pub(crate) versions: Vec<(&'static str, Option<String>)>,
    pub(crate) package_state: Option<String>,
    pub(crate) cluster: ClusterState,
    pub(crate) members: Members,
    pub(crate) port: Port,
    /// How long Perl's applies took, in milliseconds.
    pub(crate) baseline: Vec<u64>,
    pub(crate) automation: Found,
    pub(crate) room: Result<Room, String>,
    /// Whether the present state can be read as a snapshot has to.
    pub(crate) capture: Result<usize, String>,
}

/// The cluster as pmxcfs sees it (`/etc/pve/.members`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Members {
    /// A node of its own.
    Alone,
    /// Nodes by name, and whether they are online.
    Known(Vec<(String, bool)>),
    /// It can't be read, and why.
    Unknown(String),
}

/// Who is at the exporter's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Port {
    /// Nobody.
    Free,
    /// Our exporter.
    Ours,
    /// Somebody else.
    Taken,
    /// It can't be told, and why.
    Unknown(String),
}

impl Facts {
    /// Reads them.
    pub(crate) fn read(node: &Node) -> Self {
        let store = &node.store;
        let root = &store.root;
        let present = snapshot::present(store, false);
        let there = |program: &str| {
            ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|d| root.path(d).join(program).exists())
        };
        let tools = [
            ("ifreload", "ifupdown2"),
            ("pvesh", "pve-manager"),
            ("pvecm", "pve-cluster"),
            ("dpkg", "dpkg"),
            ("apt-get", "apt"),
            ("systemctl", "systemd"),
        ];
        Self {
            node: store.node.clone(),
            tools: tools.map(|(program, package)| (program, package, there(program))).into(),
            versions: ["dpkg", "apt", "ifupdown2", "pve-manager"].map(|p| (p, installed(root, p, "${Version}"))).into(),
            package_state: installed(root, &store.package, "${db:Status-Abbrev}"),
            cluster: Cluster::new(root, &store.node).state(),
            members: members(node),
            port: port(),
            baseline: baseline(node),
            automation: automation::scan(root),
            room: room(node, present.as_ref().unwrap_or(&Captured::default())).map_err(|e| e.to_string()),
            capture: present.map(|p| p.entries.len()).map_err(|e| e.to_string()),
        }
    }
}

/// One field of dpkg's database.
fn installed(root: &host::Root, package: &str, field: &str) -> Option<String> {
    let admindir = format!("--admindir={}", root.path("/var/lib/dpkg").display());
    let format = format!("--showformat={field}");
    let out = Command::new("dpkg-query").args([&admindir, "--show", &format, package]).run().ok()?;
    Some(out.stdout.trim().to_owned()).filter(|text| out.success() && !text.is_empty())
}

fn members(node: &Node) -> Members {
    let path = node.store.root.path("/etc/pve/.members");
    match files::read_plain(&path, 1 << 20) {
        Ok(None) => Members::Alone,
        Ok(Some(bytes)) => parse_members(&bytes),
        Err(error) => Members::Unknown(error.to_string()),
    }
}

/// A node without a cluster has no `nodelist`.
fn parse_members(bytes: &[u8]) -> Members {
    let value: serde_json::Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => return Members::Unknown(format!("/etc/pve/.members is no JSON: {error}")),
    };
    match value.get("nodelist").and_then(serde_json::Value::as_object) {
        None => Members::Alone,
        Some(list) => {
            let online = |v: &serde_json::Value| v.get("online").is_some_and(|o| o == 1 || o == true);
            Members::Known(list.iter().map(|(name, about)| (name.clone(), online(about))).collect())
        }
    }
}

/// Rings the exporter's port and, if somebody answers, asks for metrics.
fn port() -> Port {
    let place = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let mut stream = match TcpStream::connect_timeout(&place, Duration::from_secs(2)) {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Port::Free,
        Err(error) => return Port::Unknown(host::Error::io(format!("{place}"), error).to_string()),
    };
    let patience = Some(Duration::from_secs(2));
    let mut answer = Vec::new();
    let asked = stream
        .set_read_timeout(patience)
        .and_then(|()| stream.set_write_timeout(patience))
        .and_then(|()| stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n"))
        .and_then(|()| stream.take(1 << 20).read_to_end(&mut answer));
    // Whoever does not answer is not ours; what came before it broke off still counts.
    let _ = asked;
    if String::from_utf8_lossy(&answer).contains("pve_network_") { Port::Ours } else { Port::Taken }
}

/// Durations of what Perl applied and finished.
fn baseline(node: &Node) -> Vec<u64> {
    let events = node.store.journal().read().ok().flatten().unwrap_or_default().events;
    let legacy = |wanted: &str| {
        events.iter().any(|e| matches!(e, Event::Begin { id, backend: Backend::Legacy, .. } if id == wanted))
    };
    events
        .iter()
        .filter_map(|e| match e {
            Event::End { id, duration_ms, outcome: Outcome::Done, .. } if *duration_ms > 0 && legacy(id) => {
                Some(*duration_ms)
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_cluster_and_of_none() {
        // As pmxcfs writes it, with two nodes, and without a cluster.
        let two = br#"{"nodename":"pve1","version":4,"cluster":{"name":"lab","version":2,"nodes":2,"quorate":1},
            "nodelist":{"pve1":{"id":1,"online":1,"ip":"192.0.2.10"},"pve2":{"id":2,"online":0,"ip":"192.0.2.11"}}}"#;
        assert_eq!(parse_members(two), Members::Known(vec![("pve1".into(), true), ("pve2".into(), false)]));
        assert_eq!(parse_members(br#"{"nodename":"pve1","version":1}"#), Members::Alone);
        assert!(matches!(parse_members(b"{"), Members::Unknown(_)));
    }
}
