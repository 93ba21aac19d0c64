//! Cases for a node of which nothing is known but its configuration: each interface as it is, new ones, deletions, and what is
//! wrongly given to each parameter. Pure.

use std::collections::BTreeMap;

use model::proxmox::{Interface, Kind, Links, Network};
use network::api;
use serde_json::Value;

use super::case::{Case, Params};

/// Lists of ports.
const PORTS: [&str; 4] = ["bridge_ports", "ovs_ports", "slaves", "ovs_bonds"];
/// Addresses of nobody (RFC 5737, RFC 4193).
const ADDRESS: &str = "198.51.100.2/24";
const GATEWAY: &str = "198.51.100.1";
const GATEWAY6: &str = "fd00:c0de::1";

/// All cases for the node `node`, none twice.
pub(crate) fn cases(node: &str, network: &Network, links: &Links) -> Vec<Case> {
    let mut maker = Maker { node, network, links, cases: Vec::new() };
    maker.as_it_is();
    maker.changes();
    maker.bridges();
    maker.names();
    maker.addresses();
    maker.others();
    maker.deletions();
    let mut cases: Vec<Case> = Vec::new();
    for case in maker.cases {
        if !cases.contains(&case) {
            cases.push(case);
        }
    }
    cases
}

struct Maker<'a> {
    node: &'a str,
    network: &'a Network,
    links: &'a Links,
    cases: Vec<Case>,
}

fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Maker<'_> {
    fn post(&mut self, pairs: &[(&str, &str)]) {
        self.cases.push(Case::create(self.node, params(pairs)));
    }

    /// A new bridge, with this as well.
    fn bridge(&mut self, more: &[(&str, &str)]) {
        let name = self.free("vmbr");
        let all: Vec<(&str, &str)> =
            [("iface", name.as_str()), ("type", "bridge")].iter().chain(more).copied().collect();
        self.post(&all);
    }

    /// An interface as it is, with this as well.
    fn put(&mut self, name: &str, more: &[(&str, &str)]) {
        let mut all = self.network.interfaces.get(name).map(|i| own(name, i, self.links)).unwrap_or_default();
        all.extend(params(more));
        self.cases.push(Case::change(self.node, name, all));
    }

    /// The first name of this kind that nobody has.
    fn free(&self, prefix: &str) -> String {
        let taken = |name: &String| self.network.interfaces.contains_key(name) || self.links.links.contains_key(name);
        let mut names = (0..).map(|n| format!("{prefix}{n}"));
        names.find(|name| !taken(name)).unwrap_or_else(|| prefix.to_owned())
    }

    fn first(&self, wanted: impl Fn(&str, &Interface) -> bool) -> Option<String> {
        self.network.interfaces.iter().find(|(name, i)| wanted(name, i)).map(|(name, _)| name.clone())
    }

    /// A card that is no one's port.
    fn free_card(&self) -> Option<String> {
        let ports = |i: &Interface| PORTS.iter().filter_map(|key| i.text(key)).flat_map(words).collect::<Vec<_>>();
        let used: Vec<String> = self.network.interfaces.values().flat_map(ports).collect();
        self.first(|name, i| i.kind == Some(Kind::Eth) && !used.iter().any(|port| port == name))
    }

    /// Another's port.
    fn used_port(&self) -> Option<String> {
        let ports = |i: &Interface| PORTS.iter().filter_map(|key| i.text(key)).flat_map(words).next();
        self.network.interfaces.values().find_map(ports)
    }

    fn a_bridge(&self) -> Option<String> {
        self.first(|_, i| i.kind == Some(Kind::Bridge))
    }

    fn as_it_is(&mut self) {
        let names: Vec<String> = self.network.interfaces.keys().cloned().collect();
        names.iter().for_each(|name| self.put(name, &[]));
    }

    fn changes(&mut self) {
        let nobody = self.free("vmbr");
        self.cases.push(Case::change(self.node, &nobody, params(&[("type", "bridge")])));
        let Some(name) = self.a_bridge().or_else(|| self.first(|name, _| name != "lo")) else { return };
        let kind = self.network.interfaces.get(&name).and_then(|i| i.kind).map_or("eth", |kind| kind.name());
        for more in [
            [("comments", "of contract-test\nin two lines\n")],
            [("mtu", "1400")],
            [("mtu", "100")],
            [("autostart", "0")],
            [("delete", "comments")],
            [("delete", "cidr,gateway")],
            [("delete", "no key!")],
            [("cidr", "198.51.100.2")],
            [("bridge_ports", "nosuch0")],
            [("type", "vlan")],
            [("type", "nonsense")],
        ] {
            self.put(&name, &more);
        }
        self.put(&name, &[("cidr", ADDRESS), ("gateway", GATEWAY)]);
        self.put(&name, &[("cidr", ADDRESS), ("gateway", "203.0.113.1")]);
        self.cases.push(Case::change(self.node, &name, params(&[("type", kind)])));
        self.cases.push(Case::change(self.node, &name, params(&[])));
        if let Some(card) = self.free_card() {
            self.put(&card, &[("cidr", ADDRESS)]);
            self.put(&card, &[("mtu", "9000")]);
        }
    }

    fn bridges(&mut self) {
        self.bridge(&[]);
        self.bridge(&[("autostart", "1"), ("cidr", ADDRESS), ("comments", "of contract-test\n")]);
        self.bridge(&[("cidr6", "fd00:c0de::2/64")]);
        self.bridge(&[("mtu", "9000")]);
        self.bridge(&[("bridge_vlan_aware", "1"), ("bridge_vids", "2,4;100-200")]);
        for more in [
            [("bridge_vids", "5000")],
            [("bridge_vids", ",")],
            [("bridge_vlan_aware", "0")],
            [("bridge_ports", "nosuch0")],
            [("bridge_ports", "1nonsense")],
            [("mtu", "70000")],
            [("mtu", "1279")],
            [("mtu", "many")],
        ] {
            self.bridge(&more);
        }
        self.bridge(&[("mtu", "70000"), ("gateway", "nonsense"), ("bridge_vids", "5000")]);
        if let Some(port) = self.used_port() {
            self.bridge(&[("bridge_ports", &port)]);
        }
        if let Some(card) = self.free_card() {
            self.bridge(&[("bridge_ports", &card)]);
            self.bridge(&[("bridge_ports", &card), ("mtu", "9000")]);
        }
    }

    fn names(&mut self) {
        for name in ["abcdefghijklmnopqrstu", "thisis16charsxyz", "1br", "br 0", "br/0", "b", "", "br.x", "br-0"] {
            self.post(&[("iface", name), ("type", "bridge")]);
        }
        if let Some(there) = self.a_bridge().or_else(|| self.first(|name, _| name != "lo")) {
            self.post(&[("iface", &there), ("type", "bridge")]);
        }
        self.post(&[("type", "bridge")]);
        self.post(&[]);
        for kind in ["nonsense", "", "unknown", "vnet", "loopback"] {
            self.post(&[("iface", "ct0"), ("type", kind)]);
        }
        self.post(&[("iface", "ct0")]);
        self.post(&[("iface", "eth77"), ("type", "eth"), ("cidr", ADDRESS)]);
    }

    fn addresses(&mut self) {
        for cidr in ["198.51.100.2", "198.51.100.2/33", "198.51.100.300/24", "198.51.100.0/24", "10.0.0.1/7", "x"] {
            self.bridge(&[("cidr", cidr)]);
        }
        for cidr6 in ["ff02::1/64", "::1/128", "fe80::1/64", "2001:db8::/32", "fd00:c0de::/64", "fd00::1/129", "x"] {
            self.bridge(&[("cidr6", cidr6)]);
        }
        let given: [&[(&str, &str)]; 12] = [
            &[("address", "198.51.100.2")],
            &[("netmask", "255.255.255.0")],
            &[("netmask", "24")],
            &[("address", "198.51.100.2"), ("netmask", "255.255.255.0")],
            &[("address", "198.51.100.2"), ("netmask", "255.0.255.0")],
            &[("address", "198.51.100.2"), ("netmask", "255.255.255.0"), ("cidr", ADDRESS)],
            &[("address6", "fd00:c0de::2")],
            &[("address6", "fd00:c0de::2"), ("netmask6", "64")],
            &[("gateway", "nonsense")],
            &[("gateway6", GATEWAY)],
            &[("cidr", ADDRESS), ("gateway", GATEWAY)],
            &[("cidr6", "fd00:c0de::2/64"), ("gateway6", GATEWAY6)],
        ];
        given.iter().for_each(|more| self.bridge(more));
        self.bridge(&[("cidr", ADDRESS), ("gateway", "203.0.113.1")]);
    }

    fn others(&mut self) {
        let bond = self.free("bond");
        self.post(&[("iface", &bond), ("type", "bond")]);
        self.post(&[("iface", &bond), ("type", "bond"), ("bond_mode", "nonsense")]);
        self.post(&[("iface", &bond), ("type", "bond"), ("slaves", "nosuch0"), ("bond_mode", "balance-rr")]);
        if let Some(bridge) = self.a_bridge() {
            self.post(&[("iface", &bond), ("type", "bond"), ("slaves", &bridge), ("bond_mode", "balance-rr")]);
            self.post(&[("iface", &format!("{bridge}:77")), ("type", "alias"), ("cidr", ADDRESS)]);
            for id in ["77", "4095"] {
                self.post(&[("iface", &format!("{bridge}.{id}")), ("type", "vlan")]);
            }
            self.post(&[("iface", "vlan77"), ("type", "vlan"), ("vlan-raw-device", &bridge)]);
            self.post(&[("iface", "ct0"), ("type", "vlan"), ("vlan-raw-device", &bridge), ("vlan-id", "77")]);
            self.post(&[("iface", "ct0"), ("type", "vlan"), ("vlan-raw-device", &bridge), ("vlan-id", "4095")]);
        }
        if let Some(card) = self.free_card() {
            let with = [("iface", bond.as_str()), ("type", "bond"), ("slaves", &card)];
            self.post(&[&with[..], &[("bond_mode", "active-backup"), ("bond-primary", &card)]].concat());
            self.post(&[&with[..], &[("bond_mode", "active-backup"), ("bond-primary", "nosuch0")]].concat());
            self.post(&[&with[..], &[("bond_mode", "802.3ad"), ("bond_xmit_hash_policy", "layer2+3")]].concat());
            self.post(&[&with[..], &[("bond_mode", "802.3ad"), ("bond_xmit_hash_policy", "layer9")]].concat());
        }
        self.post(&[("iface", "vlan77"), ("type", "vlan")]);
        self.post(&[("iface", "nosuch0.77"), ("type", "vlan")]);
        self.post(&[("iface", "ct0:x"), ("type", "alias")]);
        self.post(&[("iface", "ct0"), ("type", "OVSBridge")]);
        self.post(&[("iface", "ct0"), ("type", "OVSBridge"), ("ovs_options", "a=b\npost-up x")]);
        self.post(&[("iface", "ct0"), ("type", "OVSIntPort")]);
        self.post(&[("iface", "ct0"), ("type", "OVSIntPort"), ("ovs_bridge", "nosuch0"), ("ovs_tag", "4095")]);
    }

    fn deletions(&mut self) {
        let names: Vec<String> = self.network.interfaces.keys().cloned().collect();
        names.iter().for_each(|name| self.cases.push(Case::delete(self.node, name)));
        for nobody in [self.free("vmbr"), "1br".into(), "a".into()] {
            self.cases.push(Case::delete(self.node, &nobody));
        }
        self.cases.push(Case::revert(self.node));
    }
}

/// What a client sends that changes nothing: all that the API shows and takes.
fn own(name: &str, interface: &Interface, links: &Links) -> Params {
    let shown = api::interface(name, interface, links);
    let mut out = BTreeMap::new();
    for (key, value) in &shown {
        // `cidr` says both, and Proxmox refuses it beside them.
        let said = ["address", "netmask"].iter().any(|part| {
            let suffix = key.strip_prefix(part);
            suffix.is_some_and(|suffix| shown.contains_key(&format!("cidr{suffix}")))
        });
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        match api::type_of("PUT", true, key) {
            None => {}
            Some(_) if said || key == "iface" || key == "node" => {}
            Some("boolean") if text != "0" && text != "1" => {}
            Some(_) => drop(out.insert(key.clone(), text)),
        }
    }
    out
}

fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::proxmox::read;

    const FILE: &str = "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\niface eno2 inet manual\n\n\
        auto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\tgateway 192.0.2.1\n\tbridge-ports eno1\n\
        \tbridge-stp off\n\tbridge-fd 0\n#the first\n\nauto vmbr0.5\niface vmbr0.5 inet6 static\n\taddress fd00::5/64\n";

    fn names(file: &str) -> Vec<String> {
        let links = Links::default();
        let network = read(file.as_bytes(), &links).unwrap();
        cases("pve1", &network, &links).iter().map(Case::name).collect()
    }

    #[test]
    fn an_interface_goes_back_as_it_is() {
        let names = names(FILE);
        for wanted in [
            "PUT /nodes/pve1/network/vmbr0 autostart=1 bridge_ports=eno1 cidr=192.0.2.10/24 \
             comments='the first\\n' gateway=192.0.2.1 type=bridge",
            "PUT /nodes/pve1/network/vmbr0.5 autostart=1 cidr6=fd00::5/64 type=vlan vlan-id=5 vlan-raw-device=vmbr0",
            "PUT /nodes/pve1/network/eno2 type=eth",
        ] {
            assert!(names.iter().any(|name| name == wanted), "{wanted} in {names:#?}");
        }
    }

    #[test]
    fn a_node_has_many_cases_each_once_and_pvesh_can_be_asked_them_all() {
        let links = Links::default();
        let network = read(FILE.as_bytes(), &links).unwrap();
        let all = cases("pve1", &network, &links);
        assert!(all.len() > 100, "{} cases", all.len());
        for (number, case) in all.iter().enumerate() {
            assert!(case.pvesh().is_ok(), "{}: {:?}", case.name(), case.pvesh());
            assert!(!all[..number].contains(case), "{} is there twice", case.name());
        }
        let names = names(FILE);
        for wanted in [
            "POST /nodes/pve1/network iface=vmbr1 type=bridge",
            "POST /nodes/pve1/network bridge_ports=eno1 iface=vmbr1 type=bridge",
            "POST /nodes/pve1/network bridge_ports=eno2 iface=vmbr1 type=bridge",
            "POST /nodes/pve1/network iface=vmbr0 type=bridge",
            "POST /nodes/pve1/network iface=vmbr0.77 type=vlan",
            "POST /nodes/pve1/network cidr=198.51.100.2/24 iface=vmbr0:77 type=alias",
            "POST /nodes/pve1/network bond-primary=eno2 bond_mode=active-backup iface=bond0 slaves=eno2 type=bond",
            "POST /nodes/pve1/network type=bridge",
            "DELETE /nodes/pve1/network/lo",
            "DELETE /nodes/pve1/network",
        ] {
            assert!(names.iter().any(|name| name == wanted), "{wanted}");
        }
        assert!(!names.iter().any(|name| name == "PUT /nodes/pve1/network"), "that is a reload");
    }

    #[test]
    fn an_empty_file_has_cases_too() {
        assert!(names("").len() > 60, "{}", names("").len());
    }
}
