use super::*;
use crate::files::{MAIN, NetworkFiles};

fn main_file(text: &str) -> NetworkFiles {
    [(MAIN, text.as_bytes())].into_iter().collect()
}

fn addresses(text: &str) -> Vec<String> {
    let files = main_file(text);
    let found = files.read().configuration;
    found.addresses().map(|a| format!("{} {}/{} {}", a.interface(), a.ip, a.prefix, a.line)).collect()
}

#[test]
fn addresses_with_their_prefixes() {
    for (options, expected) in [
        ("address 10.0.0.2/24", &["a 10.0.0.2/24 2"][..]),
        ("address  10.0.0.2\n\tnetmask  255.255.255.0", &["a 10.0.0.2/24 2"]),
        ("netmask 20\n address 10.0.0.2", &["a 10.0.0.2/20 3"]),
        ("address 10.4.0.1/8\n netmask 255.255.0.0", &["a 10.4.0.1/8 2"]),
        ("address 10.0.0.2", &["a 10.0.0.2/32 2"]),
        ("address fd00::2\n netmask 64", &["a fd00::2/64 2"]),
        ("address fd00::2\n netmask ffff:ffff::", &["a fd00::2/32 2"]),
        ("address fd00::2", &["a fd00::2/128 2"]),
        ("address 10.3.0.2/24\n address fd33::2/64", &["a 10.3.0.2/24 2", "a fd33::2/64 3"]),
        ("address 10.0.0.2\n netmask 24\n address 10.1.0.2\n netmask 16", &["a 10.0.0.2/24 2", "a 10.1.0.2/16 4"]),
        ("address 10.0.0.2/99", &["a 10.0.0.2/32 2"]),
        ("address 10.0.0.2\n netmask 255.0.255.0", &["a 10.0.0.2/32 2"]),
        ("address 0.0.0.0", &[]),
        ("address ::", &[]),
        ("address 192.168.1.", &[]),
        ("address ${ip}\n address", &[]),
        ("up ip addr add 10.9.9.9/24 dev a", &[]),
    ] {
        assert_eq!(addresses(&format!("iface a inet static\n {options}\n")), expected, "{options}");
    }
}

#[test]
fn bridges_by_ports_by_ovs_type_and_by_name() {
    let files = main_file(
        "iface br-lan\n bridge-ports eth0\niface old inet manual\n bridge_ports none\n\
         iface sw inet manual\n ovs_type OVSBridge\niface eth0 inet manual\n ovs_type OVSPort\n\
         iface vmbr7 inet manual\niface vmbr7.5 inet manual\niface vmbr7:1 inet static\n\
         auto vmbr8\niface eth1\n bridge-access 5\n",
    );
    let found = files.read().configuration;
    for name in ["br-lan", "old", "sw", "vmbr7", "eth0", "vmbr7.5", "vmbr8", "nowhere"] {
        assert_eq!(found.has_bridge(name), found.bridges().contains(name), "{name}");
    }
    let found = found.bridges();
    assert_eq!(found.iter().collect::<Vec<_>>(), ["br-lan", "old", "sw", "vmbr7"]);
}

#[test]
fn stanzas_of_one_interface_belong_together() {
    let files = main_file(
        "auto a z:1\niface z inet static\n address 10.0.0.2/24\niface a\niface z inet6 static\n address fd00::2/64\n gateway fd00::1\nallow-hotplug b\nallow-auto c\n",
    );
    let both = files.read().configuration;
    assert_eq!(both.autos().collect::<Vec<_>>(), ["a", "z:1", "c"]);
    assert_eq!(both.ifaces().map(|i| (&*i.name, i.options.len())).collect::<Vec<_>>(), [("z", 1), ("z", 2), ("a", 0)]);
    assert_eq!(both.names().collect::<Vec<_>>(), ["z", "a"]);
    assert_eq!(both.origin("z").unwrap().to_string(), "/etc/network/interfaces:2");
    assert_eq!(both.addresses().count(), 2);
    let gateways = both.gateways();
    assert_eq!((gateways[0].interface.as_str(), gateways[0].origin.line), ("z", 7));
}

const NODE: &str = "iface vmbr0 inet static\n address 10.0.0.2/24\n gateway 10.0.0.1\n\
    iface storage inet static\n address 10.9.0.2/24\n\
    iface vmbr0 inet6 static\n address fd00::2/64\n gateway fd00::1\n";

#[test]
fn the_management_address_is_the_name_s_else_the_gateway_s() {
    for (hosts, text, expected) in [
        ("10.0.0.2 pve1.lan pve1", NODE, Some("10.0.0.2")),
        ("10.9.0.2 pve1", NODE, Some("10.9.0.2")),
        ("fd00::2 pve1", NODE, Some("fd00::2")),
        ("127.0.1.1 pve1\n10.9.0.2 pve1", NODE, Some("10.9.0.2")),
        ("10.7.7.7 pve1\n10.9.0.2 pve1", NODE, Some("10.9.0.2")),
        ("10.7.7.7 pve1", NODE, Some("10.0.0.2")),
        ("10.9.0.2 pve10", NODE, Some("10.0.0.2")),
        ("", NODE, Some("10.0.0.2")),
        ("", "iface a\n address 10.8.0.1/24\n address 10.0.0.2/24\n gateway 10.0.0.1", Some("10.0.0.2")),
        ("", "iface a\n address fd00::2/64\n address 10.0.0.2/32\n gateway 10.0.0.1", Some("10.0.0.2")),
        ("", "iface a\n address fd00::2/64\n gateway fe80::1", Some("fd00::2")),
        ("", "iface a\n address 10.0.0.2/24", None),
        ("10.0.0.2 pve1", "iface a inet dhcp", None),
        ("10.0.0.2 pve1", "", None),
    ] {
        let found = main_file(text).read().configuration.management_address(hosts.as_bytes(), "pve1");
        assert_eq!(found.map(|a| a.to_string()).as_deref(), expected, "{hosts:?} {text:?}");
    }
}

#[test]
fn addressed_means_reachable_by_others() {
    for (text, expected) in [
        ("iface lo inet loopback", false),
        ("iface lo inet static\n address 127.0.0.1/8", false),
        ("iface a inet manual", false),
        ("iface a inet dhcp", true),
        ("iface a inet6 auto", true),
        ("iface a\n address 10.0.0.2/24", true),
    ] {
        assert_eq!(main_file(text).read().configuration.is_addressed(), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn every_address_written_is_found(
        list in proptest::collection::vec((0u128.., 0u8..=32, proptest::bool::ANY), 1..8), mask in proptest::bool::ANY,
    ) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for (i, (bits, prefix, four)) in list.into_iter().enumerate() {
            let ip = if four { IpAddr::from((bits as u32 | 1).to_be_bytes()) } else { IpAddr::from((bits | 1).to_be_bytes()) };
            let how = if mask { format!("{ip}\n netmask {prefix}") } else { format!("{ip}/{prefix}") };
            text += &format!("iface i{i}\n address {how}\n");
            expected.push((ip, prefix));
        }
        let files = main_file(&text);
        let found: Vec<_> = files.read().configuration.addresses().map(|a| (a.ip, a.prefix)).collect();
        proptest::prop_assert_eq!(found, expected);
    }
}
