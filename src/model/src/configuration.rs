//! What all files together configure, and the questions that going back asks of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::hosts;
use crate::interfaces::{Iface, Opt};

/// The file and line (from 1) that something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The line.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// An address that a stanza gives to an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix; 32 or 128 where the stanza says none.
    pub prefix: u8,
    /// The interface.
    pub interface: String,
    /// Where it stands.
    pub origin: Origin,
}

impl Address {
    fn network_holds(&self, other: IpAddr) -> bool {
        match (self.ip, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix),
            _ => false,
        }
    }
}

/// An address, the length of its prefix, its stanza, the file and line that it stands in.
type Found<'a> = (IpAddr, u8, &'a Iface, &'a Path, usize);

/// A default gateway and the interface whose stanza names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The router.
    pub ip: IpAddr,
    /// The interface.
    pub interface: String,
    /// Where it stands.
    pub origin: Origin,
}

/// `iface` stanzas of all files, merged by the interface's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    interfaces: BTreeMap<String, Vec<(Origin, Iface)>>,
    /// Names in reading order: the first gateway is the first one written, not the first by name.
    order: Vec<String>,
}

impl Configuration {
    pub(crate) fn add(&mut self, file: &Path, line: usize, iface: Iface) {
        let stanzas = self.interfaces.entry(iface.name.clone()).or_default();
        if stanzas.is_empty() {
            self.order.push(iface.name.clone());
        }
        stanzas.push((Origin { file: file.to_owned(), line }, iface));
    }

    /// Whether no interface is configured at all.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// The names of all interfaces that have a stanza, in reading order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(String::as_str)
    }

    /// Where the first stanza of an interface stands.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.interfaces.get(name)?.first().map(|(origin, _)| origin)
    }

    fn stanzas(&self) -> impl Iterator<Item = (&Origin, &Iface)> {
        self.order.iter().filter_map(|n| self.interfaces.get(n)).flatten().map(|(o, i)| (o, i))
    }

    /// Every address that some stanza sets. `0.0.0.0` and `::` (an old way to say *none*) and
    /// values that are no address (a host name, a template's variable) are left out.
    pub fn addresses(&self) -> Vec<Address> {
        let whole = |(ip, prefix, iface, file, line): Found<'_>| Address {
            ip,
            prefix,
            interface: iface.name.clone(),
            origin: Origin { file: file.to_owned(), line },
        };
        self.found().map(whole).collect()
    }

    fn found(&self) -> impl Iterator<Item = Found<'_>> {
        self.stanzas().flat_map(|(stanza, iface)| {
            let options = iface.options.iter().enumerate().filter(|(_, o)| o.is("address"));
            options.filter_map(move |(at, opt)| {
                let (ip, prefix) = opt.word().and_then(ip_with_prefix).filter(|(ip, _)| !ip.is_unspecified())?;
                let full = if ip.is_ipv4() { 32 } else { 128 };
                let prefix = prefix.or_else(|| netmask(&iface.options, at)).unwrap_or(full);
                Some((ip, prefix.min(full), iface, stanza.file.as_path(), opt.line))
            })
        })
    }

    /// Whether some stanza sets this address.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        self.found().any(|(found, ..)| found == ip)
    }

    /// Whether anything gives the node an address that others can reach: a static one, or a
    /// method by which it obtains one (DHCP, router advertisements, PPP).
    pub(crate) fn is_addressed(&self) -> bool {
        let obtains =
            |iface: &Iface| matches!(iface.method.as_deref(), Some("dhcp" | "dhcp6" | "auto" | "ppp" | "bootp"));
        self.stanzas().any(|(_, iface)| obtains(iface)) || self.found().any(|(ip, ..)| !ip.is_loopback())
    }

    /// The bridges: by `bridge-ports`, by `ovs_type OVSBridge`, or by Proxmox's own name `vmbrN`.
    pub fn bridges(&self) -> BTreeSet<String> {
        let is_bridge = |iface: &Iface| {
            let named = iface.name.starts_with("vmbr") && !iface.name.contains(['.', ':']);
            let has_ports = |o: &Opt| o.is("bridge-ports");
            let is_ovs = |o: &Opt| o.is("ovs-type") && o.word() == Some("OVSBridge");
            named || iface.options.iter().any(|o| has_ports(o) || is_ovs(o))
        };
        self.stanzas().filter(|(_, i)| is_bridge(i)).map(|(_, i)| i.name.clone()).collect()
    }

    /// Every default gateway, in reading order.
    pub fn gateways(&self) -> Vec<Gateway> {
        let of = |(stanza, iface): (&Origin, &Iface)| -> Vec<Gateway> {
            let gateways = iface.options.iter().filter(|o| o.is("gateway"));
            let parsed = gateways.filter_map(|o| Some((o.line, o.word()?.parse().ok()?)));
            let (file, name) = (&stanza.file, &iface.name);
            parsed
                .map(|(line, ip)| Gateway { ip, interface: name.clone(), origin: Origin { file: file.clone(), line } })
                .collect()
        };
        self.stanzas().flat_map(of).collect()
    }

    /// The address the node is managed by: the first one that `/etc/hosts` gives for its name and
    /// that is configured here (Proxmox's rule); else the address beside the first gateway.
    /// `None` where neither is known, as on a node that gets its address by DHCP.
    pub fn management_address(&self, hosts_file: &[u8], node_name: &str) -> Option<IpAddr> {
        self.management(hosts_file, node_name).map(|a| a.ip)
    }

    pub(crate) fn management(&self, hosts_file: &[u8], node_name: &str) -> Option<Address> {
        let mut addresses = self.addresses();
        let named = hosts::addresses_of(hosts_file, node_name);
        if let Some(at) = named.iter().find_map(|ip| addresses.iter().position(|a| a.ip == *ip)) {
            return Some(addresses.swap_remove(at));
        }
        let beside = |gateway: &Gateway| {
            let here: Vec<&Address> = addresses
                .iter()
                .filter(|a| a.interface == gateway.interface && a.ip.is_ipv4() == gateway.ip.is_ipv4())
                .collect();
            let in_its_network = here.iter().find(|a| a.network_holds(gateway.ip));
            in_its_network.or(here.first()).map(|a| (*a).clone())
        };
        self.gateways().iter().find_map(beside)
    }
}

/// `192.0.2.1` or `192.0.2.1/24`.
fn ip_with_prefix(word: &str) -> Option<(IpAddr, Option<u8>)> {
    match word.split_once('/') {
        Some((ip, mask)) => Some((ip.parse().ok()?, mask_length(mask))),
        None => Some((word.parse().ok()?, None)),
    }
}

/// The netmask of the address at `at`: the one written after it and before the next address
/// (ifupdown2's rule for several), else the first of the stanza (ifupdown's for one).
fn netmask(options: &[Opt], at: usize) -> Option<u8> {
    let is_mask = |o: &&Opt| o.is("netmask");
    let after = options[at + 1..].iter().take_while(|o| !o.is("address")).find(is_mask);
    after.or_else(|| options.iter().find(is_mask))?.word().and_then(mask_length)
}

/// `24`, `255.255.255.0` or `ffff:ffff::`.
fn mask_length(mask: &str) -> Option<u8> {
    if let Ok(length) = mask.parse() {
        return Some(length);
    }
    let (ones, set) = match mask.parse().ok()? {
        IpAddr::V4(m) => (m.to_bits().leading_ones(), m.to_bits().count_ones()),
        IpAddr::V6(m) => (m.to_bits().leading_ones(), m.to_bits().count_ones()),
    };
    (ones == set).then(|| u8::try_from(ones).ok()).flatten()
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
