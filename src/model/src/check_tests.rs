use super::*;
use crate::files::{MAIN, NetworkFiles};

const HOSTS: &[u8] = b"127.0.0.1 localhost\n192.168.1.10 pve1.example.com pve1\n";
const GOOD: &str = "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\nauto vmbr0\n\
    iface vmbr0 inet static\n\taddress 192.168.1.10/24\n\tgateway 192.168.1.1\n\
    \tbridge-ports eno1\n\nsource interfaces.d/*\n";

fn files(main: &str, sourced: &str) -> NetworkFiles {
    let mut files: NetworkFiles = [(MAIN, main.as_bytes())].into_iter().collect();
    if !sourced.is_empty() {
        files.insert("/etc/network/interfaces.d/x", sourced);
    }
    files
}

fn verdict(before: &NetworkFiles, after: &NetworkFiles, bridges: &[&str]) -> String {
    let bridges = bridges.iter().map(|b| (*b).to_owned()).collect();
    match check(&before.read(), &after.read(), HOSTS, "pve1", &bridges) {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn what_may_replace_what() {
    let (vnet, none) = ("iface vnet1\n bridge_ports none\n", "");
    let moved = GOOD.replace("vmbr0", "br9");
    let renumbered = GOOD.replace("1.10/24", "1.11/24");
    let dhcp = "iface eno1 inet dhcp\n";
    let no_address =
        "the result would lose the node's management address 192.168.1.10/24 (vmbr0, /etc/network/interfaces:8)";
    for (before, after, bridges, expected) in [
        ((GOOD, none), (GOOD, none), &["vmbr0"][..], "ok"),
        ((GOOD, none), (&GOOD.replace("/24", "/16"), none), &["vmbr0"], "ok"),
        // The management address and the guests' bridges survive, wherever they are configured.
        ((GOOD, none), (&renumbered, none), &[], no_address),
        ((GOOD, none), (&renumbered, "iface vlan5\n address 192.168.1.10/16\n"), &[], "ok"),
        ((GOOD, none), (dhcp, none), &[], no_address),
        ((GOOD, none), (&moved, none), &[], "ok"),
        (
            (GOOD, none),
            (&moved, none),
            &["vmbr0"],
            "the result would lose the bridge vmbr0 (/etc/network/interfaces:7) that is named in guest configurations",
        ),
        ((GOOD, vnet), (GOOD, vnet), &["vnet1", "vmbr0"], "ok"),
        ((GOOD, vnet), (GOOD, none), &["vmbr0", "vmbr5"], "ok"),
        (
            (GOOD, vnet),
            (GOOD, none),
            &["vnet1"],
            "the result would lose the bridge vnet1 (/etc/network/interfaces.d/x:1) that is named in guest configurations",
        ),
        (
            (GOOD, vnet),
            (&moved, none),
            &["vnet1", "vmbr0"],
            "the result would lose the bridges vmbr0 (/etc/network/interfaces:7), vnet1 (/etc/network/interfaces.d/x:1) that are named in guest configurations",
        ),
        // A result without network is never an improvement over one that has some.
        ((GOOD, none), ("", none), &[], "the result would configure no network interface at all"),
        (("iface a\n", none), ("# x\n", none), &[], "the result would configure no network interface at all"),
        ((dhcp, none), ("iface lo inet loopback\n", none), &[], "the result would leave the node without any address"),
        ((dhcp, none), (GOOD, none), &[], "ok"),
        (("iface a\n", none), ("iface b\n", none), &["a"], "ok"),
        // What does not parse is not brought in, but may stay.
        (
            (GOOD, none),
            ("\naddress 1\n", none),
            &[],
            "the result would not parse: /etc/network/interfaces:2: 'address' stands before any stanza",
        ),
        (
            (GOOD, none),
            (GOOD, "iface\n"),
            &[],
            "the result would not parse: /etc/network/interfaces.d/x:1: 'iface' without a name",
        ),
        ((GOOD, "iface\n"), (GOOD, "iface\n"), &[], "ok"),
        (("\naddress 1\n", "iface\n"), (GOOD, "iface\n"), &[], "ok"),
        // Damage has nothing to lose.
        (("", none), (dhcp, none), &["vmbr0"], "ok"),
        (("\0", none), (dhcp, none), &["vmbr0"], "ok"),
        (
            ("\0", none),
            ("iface\n", none),
            &[],
            "the result would not parse: /etc/network/interfaces:1: 'iface' without a name",
        ),
    ] {
        let said = verdict(&files(before.0, before.1), &files(after.0, after.1), bridges);
        assert_eq!(said, expected, "{before:?} -> {after:?}");
    }
}

#[test]
fn a_missing_main_file_is_an_empty_one() {
    let (good, gone) = (files(GOOD, ""), NetworkFiles::new());
    assert_eq!(verdict(&gone, &good, &["vmbr0"]), "ok");
    assert_eq!(verdict(&gone, &gone, &[]), "ok");
    assert_eq!(verdict(&good, &gone, &[]), "the result would configure no network interface at all");
}

#[test]
fn a_refusal_has_the_exit_code_of_refusals() {
    assert_eq!(host::Error::from(Refusal::Empty).kind(), host::Kind::Refused);
}

proptest::proptest! {
    /// Whatever the files say, leaving them alone is allowed; and what is allowed keeps the
    /// management address.
    #[test]
    fn nothing_is_lost_by_changing_nothing(
        before in "((auto|iface|source) (vmbr[01]|eth0|interfaces[.]d/x)( inet (static|dhcp))?\n( (address|gateway|bridge-ports|netmask) (192[.]168[.]1[.]1[01]|fd00::1/64|none)\n){0,3}){0,4}",
        after in "(iface (vmbr[01]|eth0)\n( (address|gateway|bridge-ports) (192[.]168[.]1[.]1[01]|none)\n){0,3}){0,4}",
    ) {
        let (before, after) = (files(&before, "x\n"), files(&after, ""));
        let (old, new) = (before.read().configuration, after.read().configuration);
        let bridges = old.bridges();
        let guests: Vec<&str> = bridges.iter().map(String::as_str).collect();
        proptest::prop_assert_eq!(verdict(&before, &before, &guests), "ok");
        if verdict(&before, &after, &guests) == "ok" {
            if let Some(kept) = old.management_address(HOSTS, "pve1") {
                proptest::prop_assert!(new.addresses().any(|a| a.ip == kept));
            }
            proptest::prop_assert!(bridges.is_subset(&new.bridges()));
        }
    }
}
