//! What Proxmox refuses to write. The texts are Proxmox's, since its API answers with them; the
//! codes are ours and listed in `docs/network-errors.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::interface::{Family, Interface, Network, Value};
use super::kind::{self, Kind};
use super::read::blank;
use super::write::Flavour;

/// Why a configuration is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `PVN0xx`.
    pub code: &'static str,
    /// The interface it is about.
    pub interface: String,
    /// One line, in Proxmox's words.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.code)
    }
}

impl std::error::Error for Fault {}

pub(super) fn fault(code: &'static str, interface: &str, what: impl Into<String>) -> Fault {
    Fault { code, interface: interface.to_owned(), what: what.into() }
}

type Done = Result<(), Fault>;
type Interfaces = BTreeMap<String, Interface>;

/// Every rule, in Proxmox's order; brings OVS ports and bond members into the state in which they are written.
pub(super) fn apply(network: &mut Network, flavour: Flavour) -> Done {
    let all = &mut network.interfaces;
    let used = ports_once(all)?;
    orphaned_ovs_ports(all, &used);
    ovs_bridges(all)?;
    ovs_bonds(all)?;
    bonds(all)?;
    vxlans(all)?;
    vlans(all, flavour)?;
    uplinks(all)?;
    bridges(all)
}

/// The names of those of a kind: copies, since the rules change what they are about.
fn names(all: &Interfaces, of: impl Fn(Kind) -> bool) -> Vec<String> {
    all.iter().filter(|(_, i)| i.kind.is_some_and(&of)).map(|(name, _)| name.clone()).collect()
}

fn kind_of(interface: &Interface) -> &'static str {
    interface.kind.map_or("", Kind::name)
}

/// A port belongs to one interface.
fn ports_once(all: &Interfaces) -> Result<BTreeMap<String, String>, Fault> {
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    for (name, interface) in all {
        let keys = ["bridge_ports", "ovs_ports", "slaves", "ovs_bonds"];
        let ports: String = keys.iter().filter_map(|key| interface.true_text(key)).map(|t| format!(" {t}")).collect();
        // NUL parts a list that has one, and then nothing else does.
        let nul = ports.contains('\0');
        let mark = |c: char| if nul { c == '\0' } else { ",;".contains(c) || blank(c) };
        for port in ports.split(mark).filter(|p| !p.is_empty()) {
            match used.get(port) {
                Some(other) if other != name => {
                    let what = format!("port '{port}' is already used on interface '{other}'");
                    return Err(fault("PVN010", name, what));
                }
                _ => used.insert(port.to_owned(), name.clone()),
            };
        }
    }
    Ok(used)
}

/// A port whose bridge is gone becomes a plain interface; one whose bridge is none of OVS goes.
fn orphaned_ovs_ports(all: &mut Interfaces, used: &BTreeMap<String, String>) {
    for name in names(all, Kind::is_ovs_port) {
        match used.get(&name).and_then(|bridge| all.get(bridge)) {
            None => {
                let mut plain =
                    Interface { kind: Some(Kind::Eth), families: vec![Some(Family::Inet)], ..Interface::default() };
                plain.set("exists", Value::Number(1));
                plain.set("method", "manual");
                all.insert(name, plain);
            }
            Some(bridge) if !bridge.is(Kind::OvsBridge) => {
                all.remove(&name);
            }
            Some(_) => {}
        }
    }
}

fn ovs_bridges(all: &mut Interfaces) -> Done {
    for name in names(all, |kind| kind == Kind::OvsBridge) {
        let Some(bridge) = all.get(&name).filter(|b| b.holds("ovs_ports")) else { continue };
        for port in bridge.words("ovs_ports") {
            let Some(member) = all.get_mut(&port) else {
                return Err(fault("PVN011", &name, format!("OVS bridge '{name}' - unable to find port '{port}'")));
            };
            member.set("autostart", Value::Number(0));
            match member.kind {
                Some(Kind::Eth) => member.kind = Some(Kind::OvsPort),
                Some(kind) if kind.is_ovs_port() => {}
                _ => {
                    let what = format!("interface '{port}' is not defined as OVS port/bond");
                    return Err(fault("PVN012", &port, what));
                }
            }
            member.set("ovs_bridge", name.as_str());
            mtu(all, &name, &port)?;
        }
    }
    Ok(())
}

/// What is said of a member that is not there: Proxmox asks for its type first, and finds none.
const MISSING: (&str, &str) = ("", "PVN013");

fn ovs_bonds(all: &mut Interfaces) -> Done {
    for name in names(all, |kind| kind == Kind::OvsBond) {
        let Some(bond) = all.get(&name) else { continue };
        for member in bond.words("ovs_bonds") {
            let found = all.get_mut(&member);
            let (is, code) = found.as_ref().map_or(MISSING, |found| (kind_of(found), "PVN014"));
            match found.filter(|found| found.is(Kind::Eth)) {
                Some(found) => found.set("autostart", Value::Number(1)),
                None => {
                    let what =
                        format!("OVS bond '{name}' - wrong interface type on slave '{member}' ('{is}' != 'eth')");
                    return Err(fault(code, &name, what));
                }
            }
            mtu(all, &name, &member)?;
        }
    }
    Ok(())
}

fn bonds(all: &mut Interfaces) -> Done {
    for name in names(all, |kind| kind == Kind::Bond) {
        let Some(bond) = all.get(&name).filter(|b| b.holds("slaves")) else { continue };
        let primary = bond.true_text("bond-primary").map(Cow::into_owned);
        let members = bond.words("slaves");
        for member in &members {
            let found = all.get_mut(member);
            let (is, code) = found.as_ref().map_or(MISSING, |found| (kind_of(found), "PVN014"));
            match found.filter(|found| matches!(found.kind, Some(Kind::Eth | Kind::Bond))) {
                Some(found) => found.set("autostart", Value::Number(1)),
                None => {
                    let what =
                        format!("bond '{name}' - wrong interface type on slave '{member}' ('{is}' != 'eth or bond')");
                    return Err(fault(code, &name, what));
                }
            }
            mtu(all, &name, member)?;
        }
        if primary.is_some_and(|p| !members.contains(&p)) {
            return Err(fault("PVN015", &name, format!("bond '{name}' - bond-primary interface is not a slave")));
        }
    }
    Ok(())
}

fn vxlans(all: &Interfaces) -> Done {
    let mut ids: BTreeMap<Cow<'_, str>, &str> = BTreeMap::new();
    for (name, interface) in all {
        if let Some(id) = interface.true_text("vxlan-id").filter(|_| interface.is(Kind::Vxlan)) {
            if let Some(other) = ids.get(&id) {
                let what = format!("iface {name} - duplicate vxlan-id {id} already used in {other}");
                return Err(fault("PVN016", name, what));
            }
            ids.insert(id, name);
        }
        if !interface.has_any("vxlan-") {
            continue;
        }
        let has = |key: &str| interface.settings.contains_key(key);
        let ends = ["vxlan-svcnodeip", "vxlan-remoteip", "vxlan-local-tunnelip"].iter().filter(|k| has(k)).count();
        if ends > 1 {
            let what = format!(
                "iface {name} - vxlan-svcnodeip, vxlan-remoteip and vxlan-localtunnelip are mutually exclusive"
            );
            return Err(fault("PVN017", name, what));
        }
        if has("vxlan-svcnodeip") != has("vxlan-physdev") {
            let what = format!("iface {name} - vxlan-svcnodeip and vxlan-physdev must be define together");
            return Err(fault("PVN018", name, what));
        }
    }
    Ok(())
}

fn vlans(all: &mut Interfaces, flavour: Flavour) -> Done {
    for name in names(all, |kind| kind == Kind::Vlan) {
        let Some(vlan) = all.get_mut(&name) else { continue };
        let (parent, tag) = if let Some((parent, tag)) = kind::vlan_name(&name) {
            drop_if_true(vlan, "vlan-raw-device");
            drop_if_true(vlan, "vlan-id");
            (parent.to_owned(), tag.to_owned())
        } else {
            let parent = vlan.true_text("vlan-raw-device").map(Cow::into_owned);
            let parent = parent.ok_or_else(|| fault("PVN019", &name, "missing vlan-raw-device option"))?;
            if let Some(tag) = kind::numbered(&name, "vlan") {
                drop_if_true(vlan, "vlan-id");
                (parent, tag.to_owned())
            } else {
                if flavour == Flavour::Ifupdown {
                    return Err(fault("PVN020", &name, "custom vlan interface name need ifupdown2"));
                }
                let tag = vlan.true_text("vlan-id").map(Cow::into_owned);
                (parent, tag.ok_or_else(|| fault("PVN019", &name, "missing vlan-id option"))?)
            }
        };
        if number(&tag) > 4094.0 {
            return Err(fault("PVN021", &name, format!("vlan '{name}' - vlan-id {tag} should be <= 4094")));
        }
        let Some(found) = all.get(&parent) else {
            return Err(fault("PVN022", &name, format!("vlan '{name}' - unable to find parent '{parent}'")));
        };
        if !matches!(found.kind, Some(Kind::Eth | Kind::Bridge | Kind::Bond | Kind::Vlan)) {
            let is = kind_of(found);
            let what = format!(
                "vlan '{name}' - wrong interface type on parent '{parent}' ('{is}' != 'eth|bond|bridge|vlan' )"
            );
            return Err(fault("PVN023", &name, what));
        }
        mtu(all, &parent, &name)?;
    }
    Ok(())
}

fn drop_if_true(interface: &mut Interface, key: &str) {
    if interface.holds(key) {
        interface.settings.remove(key);
    }
}

fn uplinks(all: &Interfaces) -> Done {
    let mut ids: BTreeMap<Cow<'_, str>, &str> = BTreeMap::new();
    for (name, interface) in all {
        let Some(id) = interface.true_text("uplink-id") else { continue };
        if !matches!(interface.kind, Some(Kind::Eth | Kind::Bond)) {
            let what = format!("iface '{name}' - uplink-id {id} is only allowed on physical and linux bond interfaces");
            return Err(fault("PVN024", name, what));
        }
        if let Some(other) = ids.get(&id) {
            let what = format!("iface '{name}' - uplink-id {id} is already assigned on '{other}'");
            return Err(fault("PVN025", name, what));
        }
        ids.insert(id, name);
    }
    Ok(())
}

/// What only a port of a bridge may have.
const OF_PORTS: [&str; 5] =
    ["bridge-learning", "bridge-arp-nd-suppress", "bridge-unicast-flood", "bridge-multicast-flood", "bridge-access"];

fn bridges(all: &Interfaces) -> Done {
    // VLANs that only a bridge names come to be with it.
    let mut implied: Interfaces = BTreeMap::new();
    let mut bridge_of: BTreeMap<String, &str> = BTreeMap::new();
    for (name, bridge) in all.iter().filter(|(_, i)| i.is(Kind::Bridge)) {
        for port in bridge.words("bridge_ports") {
            if let Some((parent, _)) = kind::vlan_name(&port)
                && !all.contains_key(&port)
                && !implied.contains_key(&port)
            {
                let mut vlan = Interface { kind: Some(Kind::Vlan), ..Interface::default() };
                let of = all.get(parent).or_else(|| implied.get(parent));
                if let Some(mtu) = of.and_then(|p| p.settings.get("mtu")).cloned() {
                    vlan.settings.insert("mtu".into(), mtu);
                }
                // To ask for a thing of Perl's brings it about.
                if of.is_none() {
                    implied.insert(parent.to_owned(), Interface::default());
                }
                implied.insert(port.clone(), vlan);
            }
            let Some(found) = all.get(&port).or_else(|| implied.get(&port)) else {
                return Err(fault("PVN026", name, format!("bridge '{name}' - unable to find bridge port '{port}'")));
            };
            let addressed = |method: &str, address: &str, none: &str| {
                found.text(method) == Some("static") && found.any_text(address).as_deref() != Some(none)
            };
            if addressed("method", "address", "0.0.0.0") || addressed("method6", "address6", "::") {
                let what = format!("iface {port} - ip address can't be set on interface if bridged in {name}");
                return Err(fault("PVN027", &port, what));
            }
            carries(&port, found, name, bridge)?;
            bridge_of.insert(port, name);
        }
    }
    for (name, interface) in all.iter().filter(|(_, i)| i.has_any("bridge-")) {
        let bridge = bridge_of.get(name).and_then(|bridge| all.get(*bridge));
        for key in OF_PORTS {
            if interface.holds(key) && bridge.is_none() {
                let what = format!(
                    "iface {name} - {key}: bridge port specific options can be used only on interfaces attached to a bridge"
                );
                return Err(fault("PVN028", name, what));
            }
        }
        if interface.holds("bridge-access") && !bridge.is_some_and(|b| b.holds("bridge_vlan_aware")) {
            let what =
                format!("iface {name} - bridge-access option can be only used if interface is in a vlan aware bridge");
            return Err(fault("PVN029", name, what));
        }
    }
    Ok(())
}

/// What lies above another interface carries no larger packets.
fn mtu(all: &Interfaces, parent: &str, child: &str) -> Done {
    match (all.get(parent), all.get(child)) {
        (Some(below), Some(above)) => carries(parent, below, child, above),
        _ => Ok(()), // whoever names one that is not there has said so
    }
}

fn carries(parent: &str, below: &Interface, child: &str, above: &Interface) -> Done {
    let Some(above) = above.true_text("mtu") else { return Ok(()) };
    let below = match below.true_text("mtu") {
        Some(mtu) => mtu,
        None if below.is(Kind::Bond) => above.clone(),
        None => "1500".into(),
    };
    if number(&below) < number(&above) {
        let what = format!("interface '{parent}' - mtu {below} is lower than '{child}' - mtu {above}");
        return Err(fault("PVN030", parent, what));
    }
    Ok(())
}

/// The number that a text begins with, 0 if with none: as Perl compares texts by number.
pub(super) fn number(text: &str) -> f64 {
    // What Rust takes for a number and Perl does too, of which the longest counts; more digits than these change nothing.
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(text.len());
    (1..=end.min(400)).rev().find_map(|end| text[..end].parse().ok()).unwrap_or(0.0)
}
