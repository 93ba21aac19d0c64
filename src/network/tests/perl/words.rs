//! Names, addresses and network cards, sound ones and others.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::{Card, one_in, pick};

pub(super) const CARDS: [&str; 10] =
    ["eth0", "eth1", "eno1", "eno2", "enp3s0", "enp3s0f1np1", "ens18", "nic0", "ib0", "wlp2s0"];

pub(super) fn cards(rng: &mut Rng) -> Vec<Card> {
    let mut cards: Vec<Card> = Vec::new();
    for name in CARDS.iter().chain(&["lan", "vmbr0", "bond0", "dummy0", "eth0.5", "veth9", "uplink"]) {
        if one_in(rng, if CARDS.contains(name) { 3 } else { 12 }) {
            let mut altnames = Vec::new();
            while one_in(rng, 5) {
                altnames.push(format!("{}{}", pick(rng, &["enx00", "enp9s", "alt", "eno", "vmbr"]), rng.u8(..4)));
            }
            let physical = CARDS.contains(name) || one_in(rng, 3);
            cards.push(Card { name: (*name).to_owned(), physical, altnames });
        }
    }
    // The kernel gives no name twice; Perl would show whichever its hash has first.
    let mut taken: BTreeSet<String> = cards.iter().map(|card| card.name.clone()).collect();
    for card in &mut cards {
        card.altnames.retain(|name| taken.insert(name.clone()));
    }
    cards
}

/// Names of interfaces of every kind, and some that are none.
pub(super) const NAMES: [&str; 62] = [
    "lo",
    "eth0",
    "eth1",
    "eth2",
    "eno1",
    "eno2",
    "enp3s0",
    "ens18",
    "nic0",
    "nic1",
    "if3",
    "ib0",
    "wlp2s0",
    "bond0",
    "bond1",
    "bond12",
    "vmbr0",
    "vmbr1",
    "vmbr2",
    "vmbr10",
    "eth0.5",
    "eth0.10",
    "eno1.100",
    "bond0.20",
    "vmbr0.30",
    "eth0.0",
    "eth0.00",
    "eth0.4094",
    "eth0.4095",
    "eth0.5.6",
    "bond0.20:1",
    "eth0:0",
    "eth0:1",
    "eno1:1",
    "vmbr0:2",
    "eth0:1.5",
    "eth0:x",
    "vlan5",
    "vlan0",
    "vlan100",
    "vlan4095",
    "vlanx",
    "myvlan",
    "vmbr0v5",
    "vxlan1",
    "vxlan2",
    "dummy0",
    "tap100i0",
    "in1",
    "in2",
    "intport0",
    "mybond",
    "foo",
    "foo.1",
    "bar:1",
    "BOND0",
    "eth",
    "en",
    "if",
    "a.",
    ".5",
    "x-y_z+@%",
];

pub(super) fn name(rng: &mut Rng) -> String {
    match rng.u8(..40) {
        0 => pick(
            rng,
            &[
                "ü0",
                ":",
                ".",
                "à",
                "eth0\u{a0}",
                "#",
                "-",
                "eth0.5:",
                "enÅ",
                "bond",
                "lo:1",
                "lo.1",
                "none",
                "allow-x",
                "iface",
            ],
        )
        .to_owned(),
        1 => format!("{}{}", pick(rng, &["eth", "bond", "vmbr", "vlan", "if", "nic", "en"]), rng.u32(..5000)),
        2 => format!("{}.{}", pick(rng, &NAMES), rng.u32(..5000)),
        3 => format!("{}:{}", pick(rng, &NAMES), rng.u32(..20)),
        4..20 => pick(rng, &NAMES[1..22]).to_owned(),
        _ => pick(rng, &NAMES).to_owned(),
    }
}

pub(super) fn names(rng: &mut Rng) -> String {
    let mut out = name(rng);
    while rng.bool() {
        out.push_str(pick(rng, &[" ", " ", " ", "  ", "\t"]));
        out.push_str(&name(rng));
    }
    out
}

pub(super) fn four(rng: &mut Rng) -> String {
    match rng.u8(..12) {
        0 => "0.0.0.0".into(),
        1 => {
            pick(rng, &["0", "10.0.0", "dhcp", "192.0.2.1/", "10.0.0.1/24/8", "fe80::1", "192.0.2.999", "host"]).into()
        }
        _ => format!("192.0.{}.{}", rng.u8(..4), rng.u8(..)),
    }
}

pub(super) fn six(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => "::".into(),
        1 => pick(rng, &["fe80::1%eth0", "::ffff:192.0.2.1", "2001:DB8::5", "192.0.2.6", "0"]).into(),
        _ => format!("2001:db8:{:x}::{:x}", rng.u8(..4), rng.u16(..)),
    }
}

pub(super) fn mask(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "255.255.255.0",
            "255.255.255.0",
            "24",
            "64",
            "0.0.0.0",
            "255.255.255.255",
            "0",
            "00",
            "255.0.255.0",
            "33",
            "ffff:ffff::",
            "255.255.255.128",
            "24x",
            "255.255.255.00",
            "128.0.0.0",
            "/24",
            "255.255.255",
        ],
    )
}

pub(super) fn address(rng: &mut Rng) -> String {
    let base = if one_in(rng, 3) { six(rng) } else { four(rng) };
    match rng.u8(..8) {
        0..2 => base,
        2 => format!("{base}/{}", pick(rng, &["0", "32", "128", "024", "x", "", "255.255.255.0", "999"])),
        _ => format!("{base}/{}", rng.u8(8..=64)),
    }
}

pub(super) fn mtu(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "1500", "1400", "9000", "1280", "1500", "0", "", "1450x", "1.5e3", "01500", "+1500", "-1", "x", "1_500",
            "inf", "nan", "0x5dc", "1500.5", "1499.9", ".5e4",
        ],
    )
}
