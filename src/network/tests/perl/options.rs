//! Lines: options of stanzas, comments, and what stands between stanzas.

use fastrand::Rng;

use super::words::{address, four, mask, mtu, name, names, six};
use super::{one_in, pick};

/// A line of a stanza: name and value.
pub(super) fn option(rng: &mut Rng) -> (String, String) {
    let spelt =
        |rng: &mut Rng, name: &str| if one_in(rng, 3) { name.replace('_', "-") } else { name.replace('-', "_") };
    let (id, value) = match rng.u8(..44) {
        0..4 => ("address".into(), address(rng)),
        4 => ("netmask".into(), mask(rng).into()),
        5 => ("gateway".into(), if rng.bool() { four(rng) } else { six(rng) }),
        6 => ("broadcast".into(), if rng.bool() { four(rng) } else { six(rng) }),
        7 => (pick(rng, &["mtu", "mtu", "ovs_mtu", "MTU"]).into(), mtu(rng).into()),
        8..11 => (spelt(rng, "bridge_ports"), ports(rng)),
        11 => {
            (spelt(rng, "bridge_stp"), pick(rng, &["off", "on", "yes", "YES", "On", "no", "0", "1", "on off"]).into())
        }
        12 => (spelt(rng, "bridge_fd"), pick(rng, &["0", "1", "2", "15", "30", "31", "2.5", "x", "4 5", "030"]).into()),
        13 => (spelt(rng, "bridge_vlan_aware"), pick(rng, &["yes", "no", "1", "0"]).into()),
        14 => (spelt(rng, "bridge_vids"), pick(rng, &["2-4094", "5 6 7-9", "5,6", "0", "1-3\t9"]).into()),
        15 => ("bridge-access".into(), pick(rng, &["5", "0", "4095"]).into()),
        16 => (
            pick(
                rng,
                &[
                    "bridge-learning",
                    "bridge-arp-nd-suppress",
                    "bridge-unicast-flood",
                    "bridge-multicast-flood",
                    "bridge-disable-mac-learning",
                ],
            )
            .into(),
            pick(rng, &["on", "off", "0", "1"]).into(),
        ),
        17..20 => (spelt(rng, "bond-slaves"), ports(rng)),
        20 => (
            spelt(rng, "bond-mode"),
            pick(
                rng,
                &[
                    "0",
                    "1",
                    "2",
                    "3",
                    "4",
                    "5",
                    "6",
                    "7",
                    "04",
                    "00",
                    "balance-rr",
                    "active-backup",
                    "balance-xor",
                    "broadcast",
                    "802.3ad",
                    "balance-tlb",
                    "balance-alb",
                    "x",
                    "balance-slb",
                    "lacp-balance-tcp",
                    "4 5",
                ],
            )
            .into(),
        ),
        21 => (spelt(rng, "bond-miimon"), pick(rng, &["100", "0", "50", "x"]).into()),
        22 => (spelt(rng, "bond-xmit-hash-policy"), pick(rng, &["layer2", "layer2+3", "layer3+4", "0"]).into()),
        23 => (pick(rng, &["bond-primary", "bond-primary", "bond_primary"]).into(), name(rng)),
        24..26 => (
            "ovs_type".into(),
            pick(rng, &["OVSBridge", "OVSBridge", "OVSPort", "OVSIntPort", "OVSBond", "0", "x", "ovsbridge"]).into(),
        ),
        26 => (
            "ovs_options".into(),
            pick(
                rng,
                &[
                    "tag=5",
                    "tag=0",
                    "tag=",
                    "tag=5 tag=6",
                    "bond_mode=balance-slb",
                    "bond_mode=active-backup",
                    "bond_mode=balance-tcp lacp=active",
                    "bond_mode=balance-slb lacp=active",
                    "lacp=passive bond_mode=balance-slb",
                    "bond_mode=x",
                    "vlan_mode=native-untagged tag=1",
                    "0",
                    "0=1",
                    "=x",
                    "a=b=c junk tag=7",
                    "other_config:x=y  tag=3",
                    "-- set Interface x",
                ],
            )
            .into(),
        ),
        27..29 => ("ovs_ports".into(), ports(rng)),
        29 => ("ovs_bonds".into(), ports(rng)),
        30 => ("ovs_bridge".into(), pick(rng, &["vmbr0", "vmbr1", "vmbr9", "0"]).into()),
        31..33 => (
            pick(rng, &["vlan-raw-device", "vlan-raw-device", "vlan_raw_device"]).into(),
            if one_in(rng, 9) { "0".into() } else { name(rng) },
        ),
        33 => ("vlan-id".into(), pick(rng, &["5", "0", "4094", "4095", "x", "5.5", "5000x"]).into()),
        34 => ("vlan-protocol".into(), pick(rng, &["802.1q", "802.1ad", "802.1Q", "x", "0"]).into()),
        35 => ("vxlan-id".into(), pick(rng, &["5", "6", "0", "x"]).into()),
        36 => (
            pick(
                rng,
                &["vxlan-svcnodeip", "vxlan-physdev", "vxlan-local-tunnelip", "vxlan-remoteip", "vxlan-remoteip"],
            )
            .into(),
            four(rng),
        ),
        37 => (
            pick(rng, &["uplink-id", "link-type", "link-type"]).into(),
            pick(rng, &["dummy", "5", "0", "ether"]).into(),
        ),
        38 => ("hwaddress".into(), pick(rng, &["ether 02:00:00:00:00:01", "02:00:00:00:00:01", "random"]).into()),
        39 => (pick(rng, &["pre-up", "up", "post-up", "down", "pre-down", "post-down"]).into(), command(rng)),
        40 => (
            pick(
                rng,
                &[
                    "autostart",
                    "exists",
                    "type",
                    "priority",
                    "families",
                    "method",
                    "comments",
                    "options",
                    "is_empty_bridge",
                    "cidr",
                    "slaves",
                    "active",
                    "address6",
                    "metric",
                    "scope",
                    "accept_ra",
                    "dns-nameservers",
                    "inherits",
                    "rename",
                    "no-auto-down",
                    "allow",
                    "template",
                    "auto-x",
                    "iface-x",
                    "Iface",
                    "AUTO",
                ],
            )
            .into(),
            pick(rng, &["1", "0", "x y", "eth0"]).into(),
        ),
        41 => (name(rng), name(rng)),
        42 => (
            pick(
                rng,
                &["bridge-vlan_aware", "bridge_vlan-aware", "bond_xmit-hash-policy", "bridge_waitport", "bridge-hw"],
            )
            .into(),
            "1".into(),
        ),
        _ => (pick(rng, &["mtu", "address", "bridge-ports", "x", "gateway", "bond-slaves"]).into(), String::new()),
    };
    (id, value)
}

pub(super) fn command(rng: &mut Rng) -> String {
    pick(
        rng,
        &[
            "ip route add 192.0.2.0/24 via 192.0.2.1",
            "echo 1 > /proc/sys/net/ipv4/ip_forward",
            "echo ü",
            "echo à b",
            "true # not a comment",
            "echo a \\",
            "echo 'x  y'",
            "ip link set $IFACE  promisc on",
            "echo Å",
        ],
    )
    .into()
}

pub(super) fn ports(rng: &mut Rng) -> String {
    match rng.u8(..10) {
        0..2 => "none".into(),
        2 => format!("none {}", names(rng)),
        3 => pick(
            rng,
            &[
                "0",
                "eth0,eth1",
                "eth0;eth1",
                "0 0",
                "eth1 eth0 eth1",
                "eth0.5 eth0",
                "foo.7 foo",
                "NONE",
                "regex eth.*",
                "none none",
            ],
        )
        .into(),
        4..7 => name(rng),
        _ => names(rng),
    }
}

pub(super) fn comment(rng: &mut Rng) -> String {
    let indent = pick(rng, &["", "", "", "\t", "  "]);
    let text = pick(
        rng,
        &[
            "",
            " text",
            "text",
            "# two",
            "#",
            " 0",
            "0",
            "  wide  ",
            " ü",
            " voilà",
            "à",
            " Å",
            " Ж",
            " Р",
            "\ttab",
            " auto eth0",
            "iface x",
            "\u{a0}x",
            " \u{2028}",
            "€\u{a0}",
            " 中\u{85}",
            " \u{ffff}\u{fdd0}\u{10ffff}",
            "!",
        ],
    );
    format!("{indent}#{text}")
}

/// A line that belongs to no stanza.
pub(super) fn between(rng: &mut Rng) -> String {
    match rng.u8(..16) {
        0..4 => String::new(),
        4 => "   ".into(),
        5..7 => comment(rng),
        7 => format!(
            "source {}",
            pick(rng, &["/etc/network/interfaces.d/*", "interfaces.d/*", "/etc/network/interfaces.d/sdn", ""])
        ),
        8 => pick(rng, &["source-directory interfaces.d", "source", "source-directory", "sourced x"]).into(),
        9 => format!("mapping {}\n\tscript /usr/local/sbin/map\n\tmap HOME {}", name(rng), name(rng)),
        10 => format!(
            "{} {}",
            pick(
                rng,
                &[
                    "auto",
                    "auto",
                    "allow-auto",
                    "allow-hotplug",
                    "allow-ovs",
                    "allow-vmbr0",
                    "allow-vmbr1",
                    "allow-foo",
                    "allow-",
                    "allow-eth0",
                    " auto",
                    "\tallow-vmbr0",
                    "auto\u{a0}"
                ]
            ),
            if one_in(rng, 8) { String::new() } else { names(rng) }
        ),
        11 => pick(
            rng,
            &[
                "auto",
                "iface",
                "iface eth0 inet",
                "iface eth0 inet static x",
                "iface eth0 ipx static",
                "iface eth0 inet4 static",
                "iface  ",
                "allow-hotplug",
                "no-auto-down eth0",
                "rename eth0=lan",
                "junk",
                "***",
                "ü",
                "²",
                "ª",
                "\\",
                "auto eth0 \\",
            ],
        )
        .into(),
        12 => format!("no-scripts {}", name(rng)),
        13 => {
            let (id, value) = option(rng);
            format!("{id} {value}")
        }
        14 => pick(rng, &["# network interface settings; autogenerated", "##", "#"]).into(),
        _ => format!("auto {}", names(rng)),
    }
}

pub(super) fn family(rng: &mut Rng) -> String {
    let method = pick(rng, &["manual", "static", "static", "dhcp", "auto", "loopback", "0", "ppp", "tunnel"]);
    match rng.u8(..10) {
        0..3 => String::new(),
        3..7 => format!(" inet {method}"),
        7..9 => format!(" inet6 {method}"),
        _ => pick(rng, &["  inet   manual", "\tinet\tstatic", " inet manual ", " inet6 auto\t"]).into(),
    }
}
