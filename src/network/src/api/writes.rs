//! What a request changes. Pure: from what stands in the file to what shall, or a refusal in Proxmox's words.

use std::net::Ipv6Addr;

use model::proxmox::{Family, Flavour, Interface, Kind, Network, Value, write};
use serde_json::{Value as Json, json};

use super::formats::{no_host_address, split_list};
use super::schema::{Errors, Params};

/// Why a request is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `message` of the answer.
    pub message: String,
    /// By parameter.
    pub errors: Errors,
}

impl Refusal {
    /// Wrong parameters.
    pub(super) fn parameters(errors: Errors) -> Self {
        Self { status: 400, message: "Parameter verification failed.\n".into(), errors }
    }

    /// One wrong parameter.
    pub fn of(parameter: &str, wrong: impl Into<String>) -> Self {
        Self::parameters([(parameter.to_owned(), wrong.into())].into())
    }

    /// It could not be done.
    pub fn failed(message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.push('\n');
        Self { status: 500, message, errors: Errors::new() }
    }

    /// The body of the answer.
    pub fn body(&self) -> Json {
        let mut body = json!({"data": null, "message": self.message});
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }
        body
    }
}

/// What else is known of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `/usr/bin/ovs-vsctl` is there.
    pub ovs: bool,
}

type Done<T = ()> = Result<T, Refusal>;

/// `POST …/network`.
pub(super) fn create(network: &mut Network, mut params: Params, machine: Machine) -> Done {
    let name = params.values.remove("iface").unwrap_or_default();
    if network.interfaces.contains_key(&name) {
        return Err(Refusal::of("iface", "interface already exists"));
    }
    unique(network, &name, &params)?;
    let families = addresses(&mut params)?;
    let ovs = params.get("type").is_some_and(|kind| kind.starts_with("OVS"));
    if ovs && !machine.ovs {
        return Err(Refusal::failed("Open VSwitch is not installed (need package 'openvswitch-switch')"));
    }
    if matches!(params.get("type"), Some("OVSIntPort" | "OVSBond")) {
        join_ovs_bridge(network, &name, &params)?;
    }
    if let Some(ids) = vlan_ids(&params)? {
        params.values.insert("bridge_vids".into(), ids);
    }
    let mut interface = Interface { families, ..Interface::default() };
    settle(&mut interface, params);
    network.interfaces.insert(name, interface);
    Ok(())
}

/// `PUT …/network/{iface}`.
pub(super) fn change(network: &mut Network, mut params: Params) -> Done {
    let name = params.values.remove("iface").unwrap_or_default();
    let delete = params.values.remove("delete").unwrap_or_default();
    let Some(mut interface) = network.interfaces.get(&name).cloned() else { return Err(missing()) };
    for key in split_list(&delete) {
        match key {
            "type" => interface.kind = None,
            "priority" => interface.priority = None,
            "cidr" => ["cidr", "address", "netmask"].iter().for_each(|k| drop(interface.settings.remove(k))),
            "cidr6" => ["cidr6", "address6", "netmask6"].iter().for_each(|k| drop(interface.settings.remove(k))),
            key => drop(interface.settings.remove(key)),
        }
    }
    // Proxmox takes a gateway or port of an interface's own former self for no other's.
    unique(network, &name, &params)?;
    interface.families = addresses(&mut params)?;
    vlan_ids(&params)?;
    settle(&mut interface, params);
    network.interfaces.insert(name, interface);
    Ok(())
}

/// `DELETE …/network/{iface}`.
pub(super) fn delete(network: &mut Network, name: &str) -> Done {
    let Some(gone) = network.interfaces.remove(name) else { return Err(missing()) };
    if !matches!(gone.kind, Some(Kind::OvsIntPort | Kind::OvsBond)) {
        return Ok(());
    }
    let bridge = gone.text("ovs_bridge").and_then(|bridge| network.interfaces.get_mut(bridge));
    if let Some(bridge) = bridge
        && let Some(ports) = bridge.text("ovs_ports").filter(|ports| !ports.is_empty())
    {
        let left: Vec<&str> = ports.split_whitespace().filter(|port| *port != name).collect();
        let left = left.join(" ");
        bridge.settings.insert("ovs_ports".into(), left.into());
    }
    Ok(())
}

/// The file, as Proxmox writes it.
pub(super) fn text(network: Network) -> Done<String> {
    write(network, Flavour::Ifupdown2).map(|written| written.text).map_err(|fault| Refusal::failed(fault.what))
}

fn missing() -> Refusal {
    Refusal::of("iface", "interface does not exist")
}

/// One default gateway of each family, and each port in one place.
fn unique(network: &Network, name: &str, params: &Params) -> Done {
    for (key, what) in [("gateway", "Default gateway"), ("gateway6", "Default ipv6 gateway")] {
        let other = network.interfaces.iter().find(|(other, i)| *other != name && i.holds(key));
        if let (Some((other, _)), Some(_)) = (other, params.holds(key)) {
            return Err(Refusal::of(key, format!("{what} already exists on interface '{other}'.")));
        }
    }
    const PORTS: [&str; 4] = ["bridge_ports", "ovs_ports", "slaves", "ovs_bonds"];
    let given: Vec<(&str, &str)> = PORTS.iter().filter_map(|key| params.holds(key).map(|v| (*key, v))).collect();
    let Some((first, _)) = given.first() else { return Ok(()) };
    let ports: Vec<&str> = given.iter().flat_map(|(_, list)| split_list(list)).collect();
    for (other, interface) in network.interfaces.iter().filter(|(other, _)| *other != name) {
        let mut theirs = PORTS.iter().filter_map(|key| interface.text(key)).flat_map(split_list);
        if let Some(port) = theirs.find(|port| ports.contains(port)) {
            return Err(Refusal::of(first, format!("{port} is already used on interface '{other}'.")));
        }
    }
    Ok(())
}

/// Splits `cidr` and `cidr6`, checks the IPv6 address, and says which families follow, with their methods.
fn addresses(params: &mut Params) -> Done<Vec<Option<Family>>> {
    for suffix in ["", "6"] {
        let key = |name: &str| format!("{name}{suffix}");
        let Some(cidr) = params.holds(&key("cidr")).map(str::to_owned) else { continue };
        for name in ["address", "netmask"] {
            if params.holds(&key(name)).is_some() {
                return Err(Refusal::of(&key(name), format!("{} conflicts with {}", key(name), key("cidr"))));
            }
        }
        let (address, length) = cidr.rsplit_once('/').unwrap_or((&cidr, ""));
        params.values.insert(key("address"), address.to_owned());
        params.values.insert(key("netmask"), length.to_owned());
        params.values.remove(&key("cidr"));
    }
    if let Some(text) = params.holds("address6") {
        let length = params.get("netmask6").and_then(|n| n.parse().ok()).unwrap_or(0);
        let kind = text.parse::<Ipv6Addr>().ok().and_then(|address| no_host_address(address, length));
        if let Some(kind) = kind {
            let wrong = format!("{text} with type '{kind}', cannot be used as host IPv6 address.");
            return Err(Refusal::of("address", wrong));
        }
    }
    let mut families = Vec::new();
    for (family, suffix) in [(Family::Inet, ""), (Family::Inet6, "6")] {
        let given = params.holds(&format!("address{suffix}")).is_some();
        if given {
            families.push(Some(family));
        }
        params.values.insert(format!("method{suffix}"), if given { "static" } else { "manual" }.into());
    }
    if families.is_empty() {
        families.push(Some(Family::Inet));
    }
    Ok(families)
}

/// VLANs of a bridge, apart by spaces: with another separator ifupdown2 would not read them.
fn vlan_ids(params: &Params) -> Done<Option<String>> {
    let Some(given) = params.holds("bridge_vids") else { return Ok(None) };
    let ids: Vec<&str> = split_list(given).collect();
    if ids.is_empty() {
        return Err(Refusal::of("bridge_vids", "VLAN list items are empty"));
    }
    Ok(Some(ids.join(" ")))
}

fn join_ovs_bridge(network: &mut Network, name: &str, params: &Params) -> Done {
    let refuse = |wrong: String| Err(Refusal::of("ovs_bridge", wrong));
    let Some(bridge_name) = params.holds("ovs_bridge") else { return refuse("parameter is required".into()) };
    let Some(bridge) = network.interfaces.get_mut(bridge_name) else {
        return refuse(format!("bridge '{bridge_name}' does not exist"));
    };
    if bridge.kind != Some(Kind::OvsBridge) {
        return refuse(format!("interface '{bridge_name}' is no OVS bridge"));
    }
    let ports = bridge.text("ovs_ports").unwrap_or_default();
    if !ports.split_whitespace().any(|port| port == name) {
        let all: Vec<&str> = ports.split_whitespace().chain([name]).collect();
        let all = all.join(" ");
        bridge.settings.insert("ovs_ports".into(), all.into());
    }
    Ok(())
}

/// Puts what was given over what is there.
fn settle(interface: &mut Interface, params: Params) {
    for (name, value) in params.values {
        match name.as_str() {
            "node" => {}
            "type" => interface.kind = Some(kind(&value)),
            _ => drop(interface.settings.insert(name.into(), Value::Text(value))),
        }
    }
}

fn kind(name: &str) -> Kind {
    let known = [
        Kind::Bridge,
        Kind::Bond,
        Kind::Eth,
        Kind::Alias,
        Kind::Vlan,
        Kind::OvsBridge,
        Kind::OvsBond,
        Kind::OvsPort,
        Kind::OvsIntPort,
        Kind::Vnet,
        Kind::Fabric,
    ];
    known.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Unknown)
}
