//! Who has to stay reachable: the default gateways, the cluster's other nodes, the other end of the caller's SSH.
//!
//! A machine is taken for reachable if the next hop on the way to it answers: that is what a wrong bridge, VLAN or
//! address cuts, and what any machine answers to, whatever its firewall says. An address of this node is reachable.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use host::{Result, Root, files};
use serde::{Deserialize, Serialize};

use crate::kernel::{Hand, Kernel, Neighbour};

/// How long a machine that was not reachable before may take to say so; it is then not asked for afterwards.
pub(super) const BEFORE: Duration = Duration::from_secs(1);

/// How long all of them may take to answer after a reload: switches learn, and cards negotiate anew.
pub const AFTER: Duration = Duration::from_secs(15);

/// A machine that has to stay reachable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub ip: IpAddr,
    /// What it is to us.
    pub role: Role,
}

/// What a machine is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A default gateway.
    Gateway,
    /// Another node of the cluster.
    Peer,
    /// The other end of the SSH connection that this was called from.
    Ssh,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Gateway => "the default gateway",
            Role::Peer => "the cluster's node",
            Role::Ssh => "the other end of this SSH session,",
        };
        write!(f, "{role} {}", self.ip)
    }
}

/// The addresses of the other nodes in a corosync.conf(5): `ringN_addr` of every node but this one.
pub fn peers(corosync: &str, node: &str) -> BTreeSet<IpAddr> {
    let mut out = BTreeSet::new();
    let (mut depth, mut name, mut rings) = (Vec::new(), String::new(), Vec::new());
    for line in corosync.lines().map(|l| l.split('#').next().unwrap_or_default().trim()) {
        if let Some(section) = line.strip_suffix('{') {
            depth.push(section.trim().to_owned());
            if depth.last().is_some_and(|s| s == "node") {
                (name, rings) = (String::new(), Vec::new());
            }
        } else if line == "}" {
            if depth.pop().is_some_and(|s| s == "node") && name != node {
                out.extend(rings.drain(..));
            }
        } else if let Some((key, value)) = line.split_once(':') {
            let (key, value) = (key.trim(), value.trim());
            if key == "name" && depth.last().is_some_and(|s| s == "node") {
                value.clone_into(&mut name);
            } else if key.starts_with("ring") && key.ends_with("_addr") {
                // A name that only a resolver knows is none that can be asked while the network changes.
                rings.extend(value.parse::<IpAddr>());
            }
        }
    }
    out
}

/// The other end and this one of `SSH_CONNECTION`, sshd(8).
pub fn ssh(connection: &str) -> Option<(IpAddr, IpAddr)> {
    let mut words = connection.split_whitespace();
    let other = words.next()?.parse().ok()?;
    let own = words.nth(1)?.parse().ok()?;
    Some((other, own))
}

/// Who is to be asked now, by what this node knows.
pub(super) fn targets(root: &Root, node: &str, kernel: &Kernel, connection: Option<&str>) -> Vec<Target> {
    let mut out: BTreeSet<Target> = gateways(kernel).collect();
    let corosync = ["/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"]
        .iter()
        .find_map(|path| files::read_plain(&root.path(path), 1 << 20).ok().flatten())
        .unwrap_or_default();
    let peers = peers(&String::from_utf8_lossy(&corosync), node);
    out.extend(peers.into_iter().map(|ip| Target { ip, role: Role::Peer }));
    let connection = connection.and_then(ssh).filter(|(other, _)| !other.is_loopback());
    out.extend(connection.map(|(ip, _)| Target { ip, role: Role::Ssh }));
    out.into_iter().collect()
}

/// The default gateways.
pub(super) fn gateways(kernel: &Kernel) -> impl Iterator<Item = Target> {
    kernel.defaults.iter().filter_map(|d| Some(Target { ip: d.gateway?, role: Role::Gateway }))
}

/// Those that do not answer within `patience`. Returns as soon as all have.
///
/// # Errors
/// The kernel does not answer.
pub(super) fn silent(targets: &[Target], kernel: &Kernel, patience: Duration) -> Result<Vec<Target>> {
    let begin = Instant::now();
    let mut hand = Hand::open()?;
    let mut left: Vec<&Target> = targets.iter().collect();
    left.retain(|t| !kernel.devices.values().any(|d| d.addresses.iter().any(|(ip, _)| *ip == t.ip)));
    while !left.is_empty() {
        // Asked once a second, looked at every few milliseconds.
        let mut asked = Vec::new();
        let known = hand.neighbours()?;
        for target in &left {
            let hop = hand.next_hop(target.ip)?;
            if let Some((device, ip)) = hop
                && known.get(&(device, ip)) != Some(&Neighbour::Fixed)
            {
                hand.forget(device, ip)?;
                knock(device, ip);
            }
            asked.push((*target, hop));
        }
        let round = Instant::now();
        loop {
            let known = hand.neighbours()?;
            asked.retain(|(_, hop)| {
                !hop.is_some_and(|hop| matches!(known.get(&hop), Some(Neighbour::There | Neighbour::Fixed)))
            });
            if asked.is_empty() || begin.elapsed() >= patience || round.elapsed() >= Duration::from_secs(1) {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        left = asked.into_iter().map(|(target, _)| target).collect();
        if begin.elapsed() >= patience {
            break;
        }
    }
    Ok(left.into_iter().cloned().collect())
}

/// Sends a neighbour something that it drops (port 9, RFC 863), so that the kernel asks where it is.
fn knock(device: u32, ip: IpAddr) {
    let (from, to): (IpAddr, SocketAddr) = match ip {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), (ip, 9).into()),
        IpAddr::V6(v6) => (Ipv6Addr::UNSPECIFIED.into(), SocketAddrV6::new(v6, 9, 0, device).into()),
    };
    // That it can't be sent shows in the answer that does not come.
    let _ = UdpSocket::bind((from, 0)).and_then(|socket| socket.send_to(&[0], to));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_the_other_nodes_rings() {
        let text = "totem {\n  version: 2\n  interface {\n    linknumber: 0\n  }\n}\nnodelist {\n  node {\n    name: a\n    nodeid: 1\n    ring0_addr: 192.0.2.1\n  }\n  node {\n    ring0_addr: 192.0.2.2 # main\n    ring1_addr: fd00::2\n    name: b\n  }\n  node {\n    name: c\n    ring0_addr: c.example\n  }\n}\n";
        let found = |node| peers(text, node).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(found("a"), ["192.0.2.2", "fd00::2"]);
        assert_eq!(found("b"), ["192.0.2.1"]);
        assert_eq!(found("x"), ["192.0.2.1", "192.0.2.2", "fd00::2"]);
        assert!(peers("}\n}\nring0_addr: 1.2.3.4\nnode {", "a").is_empty());
    }

    #[test]
    fn the_ssh_peer_is_the_first_word() {
        let found = ssh("198.51.100.7 50000 192.0.2.10 22").unwrap();
        assert_eq!((found.0.to_string(), found.1.to_string()), ("198.51.100.7".into(), "192.0.2.10".into()));
        for bad in ["", "x 1 2 3", "198.51.100.7", "198.51.100.7 1 y 22"] {
            assert_eq!(ssh(bad), None, "{bad}");
        }
    }
}
