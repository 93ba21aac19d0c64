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
    assert_eq!(bridge.settings.get("bridge_fd"), Some(&Value::from("0")));
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
        ("iface bond0 inet manual\n\tbond-slaves nosuch\n", "PVN013", "slave 'nosuch' ('' != 'eth or bond')"),
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
fn a_byte_is_a_character_save_in_comments() {
    let text = "iface eno1 inet manual\n\tup echo \u{e9}\n# \u{e9}\n";
    let read = network(text);
    assert_eq!(read.interfaces["eno1"].list("options"), ["up echo \u{c3}\u{a9}"]);
    assert_eq!(read.interfaces["eno1"].text("comments"), Some(" \u{e9}\n"));
    assert!(written(text).contains("\tup echo \u{c3}\u{a9}\n# \u{e9}\n"));
    // The second byte of an à is A0, a blank at the end of the line.
    let read = network("iface eno1 inet manual\n# voil\u{e0}\n");
    assert_eq!(read.interfaces["eno1"].text("comments"), Some(" voil\u{fffd}\n"));
}

#[test]
fn a_line_that_ends_a_stanza_loses_its_trailing_blanks() {
    let read = network("iface eno1 inet manual\nsource x \r\nsource y \r\n");
    let lines: Vec<&str> = read.others.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["source x", "source y \r"]);
}

#[test]
fn numbers_as_perl_takes_them() {
    let read = network("iface bond0\n\tbond-slaves 0\n\tbond-mode 04\n\taddress 192.0.2.1\n\tnetmask 0.0.0.0\n");
    let bond = &read.interfaces["bond0"];
    assert_eq!((bond.text("slaves"), bond.text("bond_mode")), (Some(""), Some("04")));
    assert_eq!((bond.text("cidr"), bond.text("netmask")), (Some("192.0.2.1/32"), Some("0.0.0.0")));
    for (below, above, fits) in
        [("1_500", "2", false), ("1.5e3", "1500", true), ("0x5dc", "1", false), ("9k", "9", true), ("inf", "9", true)]
    {
        let text = format!("iface eno1\n\tmtu {below}\n\niface eno1.5\n\tmtu {above}\n");
        let refused = refusal(network(&text), Flavour::Ifupdown2).map(|fault| fault.code);
        assert_eq!(refused, (!fits).then_some("PVN030"), "{below} {above}");
    }
}

#[test]
fn to_ask_for_a_parent_brings_it_about() {
    // In this order: the other way round, foo is not there yet.
    let text = "iface vmbr0\n\tbridge-ports foo.7\n\tbridge-ports foo\n";
    assert!(written(text).contains("\tbridge-ports foo.7 foo\n"));
    // An alias does so too, and then nothing can be written.
    refused("iface foo:1 inet manual\n", "PVN033", "undefined value");
}

#[test]
fn one_of_unknown_type_goes_before_what_was_read_after_it() {
    // eno2 is in the kernel only, and so behind all that was read.
    let out = written("iface vmbr0\n\tbridge-ports none\n\niface wg0 inet manual\n\niface eno1 inet manual\n");
    let names: Vec<&str> = out.lines().filter_map(|l| l.strip_prefix("iface ")?.split(' ').next()).collect();
    assert_eq!(names, ["lo", "wg0", "eno1", "eno2", "vmbr0"]);
}

#[test]
fn other_names_are_sorted_and_not_only_cards_have_some() {
    let mut all = links(&["eno1"]);
    let tunnel = Link { physical: false, altnames: vec!["z".into(), "a".into()] };
    all.links.insert("wg0".into(), tunnel);
    assert_eq!(all.other_names("wg0"), ["a", "z"]);
    assert_eq!(all.other_names("z"), ["a", "wg0"]);
    assert!(all.other_names("eno1").is_empty() && all.other_names("nosuch").is_empty());
}

#[test]
fn what_callers_give_is_written_as_it_is() {
    let mut network = network("iface vmbr0 inet6 manual\n\tbridge-ports eno1\n");
    let bridge = network.interfaces.get_mut("vmbr0").expect("it is there");
    bridge.settings.insert("bridge_ports".into(), "eno1;".into());
    bridge.settings.insert("comments6".into(), "gone".into());
    bridge.settings.insert("comments".into(), "0".into());
    let fault = write(network.clone(), Flavour::Ifupdown2).expect_err("no such port");
    assert_eq!(fault.what, "bridge 'vmbr0' - unable to find bridge port 'eno1;'");
    let bridge = network.interfaces.get_mut("vmbr0").expect("it is there");
    bridge.settings.insert("bridge_ports".into(), "eno1  ".into());
    let text = write(network, Flavour::Ifupdown2).expect("it is written").text;
    assert!(text.ends_with("\tbridge-ports eno1 \n\tbridge-stp off\n\tbridge-fd 0\n\n"), "{text}");
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
        "up echo x",
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
