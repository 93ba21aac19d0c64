//! What all files together configure, and the questions that going back asks of it.

use std::borrow::Cow;
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

/// A stanza and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed<'a> {
    file: &'a Path,
    line: usize,
    iface: Iface<'a>,
}

impl Placed<'_> {
    fn origin(&self, line: usize) -> Origin {
        Origin { file: self.file.to_owned(), line }
    }

    /// By `bridge-ports`, by `ovs_type OVSBridge`, or by Proxmox's own name `vmbrN`.
    fn is_bridge(&self) -> bool {
        let name = &self.iface.name;
        let has_ports = |o: &Opt| o.is("bridge-ports");
        let is_ovs = |o: &Opt| o.is("ovs-type") && o.word() == Some("OVSBridge");
        (name.starts_with("vmbr") && !name.contains(['.', ':']))
            || self.iface.options.iter().any(|o| has_ports(o) || is_ovs(o))
    }
}

/// An address as a stanza gives it.
#[derive(Debug, Clone, Copy)]
pub struct Given<'c, 'a> {
    /// The address.
    pub ip: IpAddr,
    /// As in [`Address`].
    pub prefix: u8,
    stanza: &'c Placed<'a>,
    line: usize,
}

impl Given<'_, '_> {
    /// Whose it is.
    pub fn interface(&self) -> &str {
        &self.stanza.iface.name
    }

    fn whole(&self) -> Address {
        let interface = self.interface().to_owned();
        Address { ip: self.ip, prefix: self.prefix, interface, origin: self.stanza.origin(self.line) }
    }

    fn network_holds(&self, other: IpAddr) -> bool {
        match (self.ip, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix),
            _ => false,
        }
    }
}

/// `iface` stanzas of all files, merged by the interface's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// By interface in reading order: the first gateway is the first one written, not the first by name.
    interfaces: Vec<Vec<Placed<'a>>>,
    /// Where in `interfaces` each name is.
    places: BTreeMap<Cow<'a, str>, usize>,
    autos: Vec<Cow<'a, str>>,
}

impl<'a> Configuration<'a> {
    pub(crate) fn add(&mut self, file: &'a Path, line: usize, iface: Iface<'a>) {
        let next = self.interfaces.len();
        let place = *self.places.entry(iface.name.clone()).or_insert(next);
        let placed = Placed { file, line, iface };
        match self.interfaces.get_mut(place) {
            Some(stanzas) => stanzas.push(placed),
            None => self.interfaces.push(vec![placed]),
        }
    }

    pub(crate) fn allow(&mut self, class: &str, names: Vec<Cow<'a, str>>) {
        if matches!(class, "auto" | "allow-auto") {
            self.autos.extend(names);
        }
    }

    /// Whether no interface is configured at all.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
    }

    /// The names of all interfaces that have a stanza, in reading order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.interfaces.iter().flat_map(|stanzas| stanzas.first()).map(|first| &*first.iface.name)
    }

    /// The names that are brought up at boot, as they are written.
    pub fn autos(&self) -> impl Iterator<Item = &str> {
        self.autos.iter().map(|name| &**name)
    }

    fn of(&self, name: &str) -> &[Placed<'a>] {
        self.places.get(name).and_then(|place| self.interfaces.get(*place)).map_or(&[], Vec::as_slice)
    }

    /// Where the first stanza of an interface stands.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.of(name).first().map(|first| first.origin(first.line))
    }

    fn stanzas(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.interfaces.iter().flatten()
    }

    /// Every stanza, interface by interface.
    pub fn ifaces(&self) -> impl Iterator<Item = &Iface<'a>> {
        self.stanzas().map(|stanza| &stanza.iface)
    }

    /// The stanzas of one file with their lines, in its order.
    pub(crate) fn of_file(&self, file: &Path) -> Vec<(usize, &Iface<'a>)> {
        let mut found: Vec<_> = self.stanzas().filter(|s| s.file == file).map(|s| (s.line, &s.iface)).collect();
        found.sort_unstable_by_key(|(line, _)| *line);
        found
    }

    /// Every address that some stanza sets. `0.0.0.0` and `::` (an old way to say *none*) and
    /// values that are no address (a host name, a template's variable) are left out.
    pub fn addresses(&self) -> impl Iterator<Item = Given<'_, 'a>> {
        self.stanzas().flat_map(|stanza| {
            let options = &stanza.iface.options;
            options.iter().enumerate().filter(|(_, o)| o.is("address")).filter_map(move |(at, opt)| {
                let (ip, prefix) = opt.word().and_then(ip_with_prefix).filter(|(ip, _)| !ip.is_unspecified())?;
                let full = if ip.is_ipv4() { 32 } else { 128 };
                let prefix = prefix.or_else(|| netmask(options, at)).unwrap_or(full).min(full);
                Some(Given { ip, prefix, stanza, line: opt.line })
            })
        })
    }

    /// Whether some stanza sets this address.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        self.addresses().any(|given| given.ip == ip)
    }

    /// Whether anything gives the node an address that others can reach: a static one, or a
    /// method by which it obtains one (DHCP, router advertisements, PPP).
    pub(crate) fn is_addressed(&self) -> bool {
        let obtains =
            |iface: &Iface| matches!(iface.method.as_deref(), Some("dhcp" | "dhcp6" | "auto" | "ppp" | "bootp"));
        self.ifaces().any(obtains) || self.addresses().any(|given| !given.ip.is_loopback())
    }

    /// The bridges: by `bridge-ports`, by `ovs_type OVSBridge`, or by Proxmox's own name `vmbrN`.
    pub fn bridges(&self) -> BTreeSet<String> {
        self.stanzas().filter(|s| s.is_bridge()).map(|s| s.iface.name.clone().into_owned()).collect()
    }

    /// Whether an interface is one of the [bridges](Self::bridges).
    pub(crate) fn has_bridge(&self, name: &str) -> bool {
        self.of(name).iter().any(Placed::is_bridge)
    }

    /// Every default gateway, in reading order.
    pub fn gateways(&self) -> Vec<Gateway> {
        let mut out = Vec::new();
        for stanza in self.stanzas() {
            for option in stanza.iface.options.iter().filter(|o| o.is("gateway")) {
                if let Some(ip) = option.word().and_then(|word| word.parse().ok()) {
                    let interface = stanza.iface.name.clone().into_owned();
                    out.push(Gateway { ip, interface, origin: stanza.origin(option.line) });
                }
            }
        }
        out
    }

    /// The address the node is managed by: the first one that `/etc/hosts` gives for its name and
    /// that is configured here (Proxmox's rule); else the address beside the first gateway.
    /// `None` where neither is known, as on a node that gets its address by DHCP.
    pub fn management_address(&self, hosts_file: &[u8], node_name: &str) -> Option<IpAddr> {
        self.management(hosts_file, node_name).map(|a| a.ip)
    }

    pub(crate) fn management(&self, hosts_file: &[u8], node_name: &str) -> Option<Address> {
        let all: Vec<Given<'_, '_>> = self.addresses().collect();
        let named = hosts::addresses_of(hosts_file, node_name);
        if let Some(given) = named.iter().find_map(|ip| all.iter().find(|given| given.ip == *ip)) {
            return Some(given.whole());
        }
        let beside = |gateway: &Gateway| {
            let of = |a: &&Given<'_, '_>| a.interface() == gateway.interface && a.ip.is_ipv4() == gateway.ip.is_ipv4();
            let here = || all.iter().filter(of);
            here().find(|a| a.network_holds(gateway.ip)).or_else(|| here().next())
        };
        self.gateways().iter().find_map(beside).map(Given::whole)
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
