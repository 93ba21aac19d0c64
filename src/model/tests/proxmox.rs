//! Our own cases of reading and writing as Proxmox does; its own are in network's `vectors.rs`.

use std::fmt::Write as _;

use model::proxmox::{Flavour, Kind, Link, Links, Network, Value, read, refusal, write};
use proptest::prelude::*;

const HEAD_END: &str = "external files!\n\n";

fn links(names: &[&str]) -> Links {
    let card = |name: &&str| ((*name).to_owned(), Link { physical: true, altnames: Vec::new() });
    Links { links: names.iter().map(card).collect(), active: Vec::new() }
}

fn network(text: &str) -> Network {
    read(text.as_bytes(), &links(&["eno1", "eno2"])).expect("it is UTF-8")
}

/// What is written after the head.
#[track_caller]
fn written(text: &str) -> String {
    let all = write(network(text), Flavour::Ifupdown2).unwrap_or_else(|e| panic!("{e}")).text;
    all.split_once(HEAD_END).expect("the head comes first").1.to_owned()
}

#[track_caller]
fn refused(text: &str, code: &str, what: &str) {
    match write(network(text), Flavour::Ifupdown2) {
        Ok(written) => panic!("not refused: {}", written.text),
        Err(fault) => {
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.what.contains(what), "{fault}");
        }
    }
}

#[test]
fn a_node_as_the_installer_leaves_it() {
    let text = "\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tgateway 192.0.2.1
\tbridge-ports eno1
\tbridge-stp off
\tbridge-fd 0
#Management

iface eno2 inet manual


source /etc/network/interfaces.d/*
";
    let read = network(text);
    let bridge = &read.interfaces["vmbr0"];
    assert_eq!(bridge.kind, Some(Kind::Bridge));
    assert_eq!((bridge.text("cidr"), bridge.text("netmask")), (Some("192.0.2.10/24"), Some("24")));
    assert_eq!(bridge.text("comments"), Some("Management\n"));
    assert_eq!(bridge.settings["bridge_fd"], Value::from("0"));
    // Cards come before bridges; nothing else moves.
    let expected = "\
auto lo
iface lo inet loopback

iface eno1 inet manual

iface eno2 inet manual

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tgateway 192.0.2.1
\tbridge-ports eno1
\tbridge-stp off
\tbridge-fd 0
#Management

source /etc/network/interfaces.d/*
";
    assert_eq!(written(text), expected);
    assert_eq!(written(expected), expected);
}

#[test]
fn what_is_not_understood_is_kept() {
    let text = "\
iface eno1 inet manual
\tpost-up ip link set $IFACE up
\tfoo bar
# why

mapping eno2
\tscript /bin/x
";
    let out = written(text);
    assert!(out.contains("\tpost-up ip link set $IFACE up\n\tfoo bar\n# why\n"), "{out}");
    assert!(out.ends_with("mapping eno2\n\tscript /bin/x\n"), "{out}");
}

#[test]
fn rules_of_the_writer() {
    for (text, code, what) in [
        ("iface vmbr0\n\tbridge-ports eno1\n\niface vmbr1\n\tbridge-ports eno1\n", "PVN010", "port 'eno1' is already"),
        ("iface vmbr0\n\tbridge-ports eth9.5 nosuch\n", "PVN026", "unable to find bridge port 'nosuch'"),
        (
            "iface vmbr0 inet manual\n\tovs_type OVSBridge\n\tovs_ports nosuch\n",
            "PVN011",
            "unable to find port 'nosuch'",
        ),
        ("iface bond0 inet manual\n\tbond-slaves nosuch\n", "PVN013", "unable to find slave"),
        (
            "iface bond0 inet manual\n\tbond-slaves eno1\n\tbond-mode active-backup\n\tbond-primary eno2\n",
            "PVN015",
            "not a slave",
        ),
        ("iface eno1.4095 inet manual\n", "PVN021", "vlan-id 4095 should be <= 4094"),
        ("iface nosuch.5 inet manual\n", "PVN023", "wrong interface type on parent 'nosuch'"),
        ("iface v5 inet manual\n\tvlan-raw-device eno1\n", "PVN019", "missing vlan-id"),
        (
            "iface eno1 inet static\n\taddress 192.0.2.1/24\n\niface vmbr0\n\tbridge-ports eno1\n",
            "PVN027",
            "ip address can't be set",
        ),
        ("iface eno1.5 inet manual\n\tmtu 9000\n", "PVN030", "mtu 1500 is lower than 'eno1.5' - mtu 9000"),
        ("iface eno1 inet manual\n\tbridge-access 5\n", "PVN028", "bridge port specific options"),
        ("iface eno1.5 inet manual\n\tvlan-protocol x\n", "PVN031", "wrong vlan-protocol x"),
        (
            "iface vxlan1\n\tvxlan-id 5\n\tvxlan-remoteip 192.0.2.2\n\tvxlan-local-tunnelip 192.0.2.1\n",
            "PVN017",
            "mutually exclusive",
        ),
    ] {
        refused(text, code, what);
    }
}

#[test]
fn bytes_that_proxmox_would_damage() {
    let error = read(b"auto lo\niface lo inet loopback\n\tfoo b\xffr\n", &Links::default()).unwrap_err();
    assert_eq!((error.line, error.column), (3, 7));
    assert_eq!(error.to_string(), "line 3, column 7: not UTF-8");
}

#[test]
fn a_forwarding_delay_that_the_kernel_refuses_is_left_out_and_said() {
    let text = "iface vmbr0 inet manual\n\tbridge-ports none\n\tbridge-stp on\n\tbridge-fd 1\n";
    let written = write(network(text), Flavour::Ifupdown2).expect("it is written");
    assert!(!written.text.contains("bridge-fd"), "{}", written.text);
    assert_eq!(written.warnings.len(), 1);
}

#[test]
fn ifupdown_has_words_of_its_own_for_open_vswitch() {
    let text = "\
auto vmbr0
iface vmbr0 inet manual
\tovs_type OVSBridge
\tovs_ports eno1

iface eno1 inet manual
";
    let out = write(network(text), Flavour::Ifupdown).expect("it is written").text;
    assert!(
        out.contains("allow-vmbr0 eno1\niface eno1 inet manual\n\tovs_type OVSPort\n\tovs_bridge vmbr0\n"),
        "{out}"
    );
    assert!(out.contains("allow-ovs vmbr0\n"), "{out}");
    let again = write(network(&out), Flavour::Ifupdown).expect("it is written").text;
    assert_eq!(again, out);
}

/// Files of the shape that people write, oddities included.
fn files() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "lo", "eno1", "eno2", "bond0", "vmbr0", "vmbr1", "eno1.5", "vlan7", "eno1:1", "tap", "in1",
    ]);
    let option = prop::sample::select(vec![
        "address 192.0.2.1/24",
        "address 2001:db8::1",
        "netmask 255.255.255.0",
        "netmask 64",
        "gateway 192.0.2.254",
        "bridge-ports eno1 eno2",
        "bridge_ports none",
        "bridge-vlan-aware no",
        "bond-slaves eno2 eno1",
        "bond-mode 4",
        "ovs_type OVSBridge",
        "ovs_type OVSIntPort",
        "ovs_options tag=5 x=y",
        "ovs_ports in1",
        "ovs_bridge vmbr0",
        "vlan-raw-device eno1",
        "vlan-id 7",
        "mtu 1400",
        "vlan-protocol 802.1z",
        "ovs_type OVSBond",
        "ovs_options bond_mode=odd",
        "up echo ü",
        "# comment",
        "#",
        "x",
        "",
    ]);
    let family =
        prop::sample::select(vec!["", " inet static", " inet6 static", " inet manual", " inet6 auto", " inet"]);
    let stanza = (any::<bool>(), name, family, prop::collection::vec(option, 0..5));
    prop::collection::vec(stanza, 0..8).prop_map(|stanzas| {
        let mut text = String::new();
        for (auto, name, family, options) in stanzas {
            if auto {
                let _ = writeln!(text, "auto {name}");
            }
            let _ = writeln!(text, "iface {name}{family}");
            for option in options {
                let _ = writeln!(text, "\t{option}");
            }
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn a_refusal_is_told_without_writing(text in files()) {
        for flavour in [Flavour::Ifupdown2, Flavour::Ifupdown] {
            prop_assert_eq!(refusal(network(&text), flavour), write(network(&text), flavour).err());
        }
    }

    #[test]
    fn writing_comes_to_rest(text in files()) {
        // Proxmox writes the options of a stanza without a family into every other one of that
        // interface too, and so grows them at every write. `validate` is where that is said.
        prop_assume!(network(&text).interfaces.values().all(|i| i.families.len() == 1 || !i.families.contains(&None)));
        // Places change with the first writes, as they do in Proxmox; then nothing moves any more.
        let mut now = text;
        for _ in 0..6 {
            let Ok(next) = write(network(&now), Flavour::Ifupdown2) else { return Ok(()) };
            if next.text == now {
                return Ok(());
            }
            now = next.text;
        }
        prop_assert!(false, "it never comes to rest: {}", now);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in "(\\PC|\n|\t| |iface|inet|auto|allow-|#){0,60}") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(network) = read(input, &links(&["eno1"])) {
                let _ = write(network, Flavour::Ifupdown2);
            }
        }
    }
}
