//! What the files want of the kernel, and what of it the kernel has. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::interfaces::Iface;
use model::{NetworkFiles, Reading};
use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;

/// What `auto` interfaces shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// By name.
    pub devices: BTreeMap<String, Want>,
    /// Default gateways and the interface that each stands at.
    pub gateways: Vec<(IpAddr, String)>,
    /// Every interface that has a stanza, `auto` or not.
    pub named: BTreeSet<String>,
    /// Every port of a bridge or bond, whoever's.
    pub ports: BTreeSet<String>,
}

/// What one of them shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Addresses with the length of their prefix.
    pub addresses: BTreeSet<(IpAddr, u8)>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Ports of a bridge or bond.
    pub ports: BTreeSet<String>,
}

/// Reads what is wanted. What does not parse wants nothing; [`model::validate`] has said so before.
pub fn wanted(files: &NetworkFiles) -> Wanted {
    wanted_as_read(&files.read())
}

/// The same of files that were read already.
pub fn wanted_as_read(Reading { configuration, faults, .. }: &Reading<'_>) -> Wanted {
    let mut out = Wanted::default();
    let mut wants: BTreeMap<&str, Want> = BTreeMap::new();
    for iface in configuration.ifaces() {
        out.ports.extend(options(iface, wants.entry(base(&iface.name)).or_default()));
    }
    if faults.is_empty() {
        for address in configuration.addresses() {
            if let Some(want) = wants.get_mut(base(address.interface())) {
                want.addresses.insert((address.ip, address.prefix));
            }
        }
        out.gateways = configuration.gateways().into_iter().map(|g| (g.ip, base(&g.interface).to_owned())).collect();
    }
    let autos: BTreeSet<&str> = configuration.autos().map(base).collect();
    out.gateways.retain(|(_, interface)| autos.contains(interface.as_str()));
    out.named = wants.keys().map(|name| (*name).to_owned()).collect();
    wants.retain(|name, _| autos.contains(name));
    out.devices = wants.into_iter().map(|(name, want)| (name.to_owned(), want)).collect();
    out
}

/// An alias is an address of the interface before its colon.
fn base(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

fn options(iface: &Iface<'_>, want: &mut Want) -> BTreeSet<String> {
    let mut ports = BTreeSet::new();
    for option in &iface.options {
        let value = || String::from_utf8_lossy(&option.value);
        // That of an alias is its interface's, which says it itself.
        if option.is("mtu") && base(&iface.name) == iface.name {
            want.mtu = value().trim().parse().ok();
        }
        let lists = ["bridge-ports", "bond-slaves", "slaves"];
        if lists.iter().any(|list| option.is(list)) {
            let value = value();
            let words = || value.split_whitespace();
            // Patterns name whatever is there.
            if !words().any(|w| ["none", "regex", "glob"].contains(&w)) {
                ports.extend(words().map(str::to_owned));
            }
        }
    }
    want.ports.extend(ports.iter().cloned());
    ports
}

/// What the kernel lacks, a line each.
pub fn missing(wanted: &Wanted, kernel: &Kernel) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (name, want) in &wanted.devices {
        let Some(device) = kernel.devices.get(name) else {
            out.insert(format!("{name} is not there"));
            continue;
        };
        if !device.up {
            out.insert(format!("{name} is down"));
        }
        for (ip, length) in want.addresses.difference(&device.addresses) {
            out.insert(format!("{name} does not have {ip}/{length}"));
        }
        if let Some(mtu) = want.mtu.filter(|mtu| *mtu != device.mtu) {
            out.insert(format!("{name} has mtu {} and not {mtu}", device.mtu));
        }
        for port in &want.ports {
            match kernel.devices.get(port) {
                None => out.insert(format!("{port}, a port of {name}, is not there")),
                Some(found) if found.master.as_deref() != Some(name) => {
                    out.insert(format!("{port} is no port of {name}"))
                }
                Some(_) => false,
            };
        }
    }
    for (ip, interface) in &wanted.gateways {
        let there = |d: &crate::kernel::Default| d.gateway == Some(*ip) && d.device == *interface;
        if !kernel.defaults.iter().any(there) {
            out.insert(format!("there is no default route by {ip} on {interface}"));
        }
    }
    out
}

/// What the kernel still has of `old` that `new` does not want, a line each.
pub fn left_over(old: &Wanted, new: &Wanted, kernel: &Kernel) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (name, want) in &old.devices {
        let Some(device) = kernel.devices.get(name) else { continue };
        match new.devices.get(name) {
            Some(now) => {
                for (ip, length) in want.addresses.difference(&now.addresses) {
                    if device.addresses.contains(&(*ip, *length)) {
                        out.insert(format!("{name} still has {ip}/{length}"));
                    }
                }
                for port in want.ports.difference(&now.ports) {
                    if kernel.devices.get(port).is_some_and(|p| p.master.as_deref() == Some(name)) {
                        out.insert(format!("{port} is still a port of {name}"));
                    }
                }
            }
            None if !new.named.contains(name) && !new.ports.contains(name) && made(device.kind.as_deref()) => {
                out.insert(format!("{name} is still there"));
            }
            None => {}
        }
    }
    for (ip, interface) in old.gateways.iter().filter(|gateway| !new.gateways.contains(gateway)) {
        if kernel.defaults.iter().any(|d| d.gateway == Some(*ip) && d.device == *interface) {
            out.insert(format!("there is still a default route by {ip} on {interface}"));
        }
    }
    out
}

/// Whether ifupdown2 makes devices of this kind itself, so that it takes them away as well.
pub fn made(kind: Option<&str>) -> bool {
    matches!(kind, Some("bridge" | "bond" | "vlan" | "vxlan" | "dummy"))
}

/// What is wrong after an apply: what `new` wants and the kernel lacks, or has left over, except what was so already
/// before and wanted then as well.
pub fn wrong(old: &Wanted, new: &Wanted, before: &Kernel, after: &Kernel) -> BTreeSet<String> {
    let known = missing(old, before);
    let mut out: BTreeSet<String> = missing(new, after).difference(&known).cloned().collect();
    out.extend(left_over(old, new, after));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Default as Route, Device};

    const OLD: &str = "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports eno1\n\nauto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n\tmtu 9000\n\niface vmbr9 inet manual\n\tbridge-ports none\n";

    fn files(text: &str) -> NetworkFiles {
        [(model::MAIN, text)].into_iter().map(|(path, text)| (path, text.as_bytes())).collect()
    }

    fn kernel() -> Kernel {
        let mut kernel = Kernel::default();
        let mut add = |name: &str, device: Device| kernel.devices.insert(name.into(), Device { up: true, ..device });
        add("lo", Device::default());
        add("eno1", Device { master: Some("vmbr0".into()), physical: true, ..Device::default() });
        let address = ("192.0.2.10".parse().unwrap(), 24);
        add("vmbr0", Device { kind: Some("bridge".into()), addresses: [address].into(), ..Device::default() });
        add("vmbr1", Device { kind: Some("bridge".into()), mtu: 9000, ..Device::default() });
        let gateway = Some("192.0.2.1".parse().unwrap());
        kernel.defaults.insert(Route { gateway, device: "vmbr0".into(), metric: 0 });
        kernel
    }

    fn all(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_is_there_is_not_missing() {
        let wanted = wanted(&files(OLD));
        assert_eq!(wanted.devices.keys().collect::<Vec<_>>(), ["lo", "vmbr0", "vmbr1"]);
        assert_eq!(all(&missing(&wanted, &kernel())), [""; 0]);
    }

    #[test]
    fn each_difference_has_its_line() {
        let want = wanted(&files(OLD));
        let case = |change: &dyn Fn(&mut Kernel)| {
            let mut kernel = kernel();
            change(&mut kernel);
            missing(&want, &kernel).into_iter().collect::<Vec<_>>()
        };
        let device =
            |k: &mut Kernel, name: &str, change: &dyn Fn(&mut Device)| change(k.devices.get_mut(name).unwrap());
        assert_eq!(case(&|k| drop(k.devices.remove("vmbr1"))), ["vmbr1 is not there"]);
        assert_eq!(case(&|k| device(k, "vmbr0", &|d| d.up = false)), ["vmbr0 is down"]);
        assert_eq!(case(&|k| device(k, "vmbr0", &|d| d.addresses.clear())), ["vmbr0 does not have 192.0.2.10/24"]);
        assert_eq!(case(&|k| device(k, "vmbr1", &|d| d.mtu = 1500)), ["vmbr1 has mtu 1500 and not 9000"]);
        assert_eq!(case(&|k| device(k, "eno1", &|d| d.master = None)), ["eno1 is no port of vmbr0"]);
        assert_eq!(case(&|k| drop(k.devices.remove("eno1"))), ["eno1, a port of vmbr0, is not there"]);
        assert_eq!(case(&|k| k.defaults.clear()), ["there is no default route by 192.0.2.1 on vmbr0"]);
    }

    #[test]
    fn what_was_wrong_before_is_no_fault_of_the_apply() {
        let mut before = kernel();
        before.devices.remove("eno1");
        let old = wanted(&files(OLD));
        let new = wanted(&files(&OLD.replace("192.0.2.10", "192.0.2.11")));
        let mut after = before.clone();
        assert_eq!(
            all(&wrong(&old, &new, &before, &after)),
            ["vmbr0 does not have 192.0.2.11/24", "vmbr0 still has 192.0.2.10/24"]
        );
        after.devices.get_mut("vmbr0").unwrap().addresses = [("192.0.2.11".parse().unwrap(), 24)].into();
        assert_eq!(all(&wrong(&old, &new, &before, &after)), [""; 0]);
    }

    #[test]
    fn what_is_taken_out_has_to_go() {
        let old = wanted(&files(OLD));
        let new =
            wanted(&files(&OLD.replace("auto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n\tmtu 9000\n", "")));
        assert_eq!(all(&wrong(&old, &new, &kernel(), &kernel())), ["vmbr1 is still there"]);
        let new =
            wanted(&files(&OLD.replace("\tgateway 192.0.2.1\n", "").replace("bridge-ports eno1", "bridge-ports none")));
        assert_eq!(
            all(&wrong(&old, &new, &kernel(), &kernel())),
            ["eno1 is still a port of vmbr0", "there is still a default route by 192.0.2.1 on vmbr0"]
        );
    }

    #[test]
    fn aliases_are_addresses_and_patterns_are_no_ports() {
        let text = "auto a a:1\niface a inet static\n\taddress 10.0.0.1/8\n\tbridge-ports regex tap.*\niface a:1 inet static\n\taddress 10.0.0.2/8\n";
        let wanted = wanted(&files(text));
        assert_eq!(wanted.devices["a"].addresses.len(), 2);
        assert!(wanted.ports.is_empty());
    }

    #[test]
    fn the_mtu_is_what_the_interface_itself_says_last() {
        for (text, mtu) in [
            (
                "auto a\niface a inet static\n\tmtu 9000\niface a:1 inet static\n\tmtu 1500\niface a inet6 manual\n",
                9000,
            ),
            (
                "auto a\niface a inet static\n\tmtu 1500\niface a:1 inet static\niface a inet6 manual\n\tmtu 9000\n",
                9000,
            ),
        ] {
            assert_eq!(wanted(&files(text)).devices["a"].mtu, Some(mtu), "{text}");
        }
    }
}
