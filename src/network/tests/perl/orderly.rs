//! A node's file as it could be.

use fastrand::Rng;

use super::options::{between, command, option};
use super::{Card, body, finish, one_in, pick, style};

/// A node as it could be: members exist, each has one place, addresses are at the top.
pub(super) fn orderly(rng: &mut Rng, cards: &[Card]) -> String {
    let mut style = style(rng);
    style.comments = 8;
    let mut free: Vec<String> = cards.iter().filter(|c| c.physical).map(|c| c.name.clone()).collect();
    free.extend(
        cards.iter().filter(|c| c.physical).flat_map(|c| c.altnames.first().cloned()).filter(|_| one_in(rng, 2)),
    );
    free.extend(["eth5", "eno9"].map(str::to_owned));
    rng.shuffle(&mut free);
    let mut stanzas: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let of = |id: &str, value: &str| (id.to_owned(), value.to_owned());
    let mut tops: Vec<String> = Vec::new();
    if !one_in(rng, 5) {
        stanzas.push(("lo".into(), Vec::new()));
    }
    for name in free.clone() {
        if !one_in(rng, 4) {
            let mtu = one_in(rng, 4).then(|| of("mtu", pick(rng, &["1500", "9000", "1500"])));
            stanzas.push((name, mtu.into_iter().collect()));
        }
    }
    let ovs = one_in(rng, 3);
    for number in 0..rng.u8(..3) {
        let members: Vec<String> = (0..rng.usize(1..3)).filter_map(|_| free.pop()).collect();
        if members.is_empty() {
            continue;
        }
        let name = format!("bond{number}");
        if ovs {
            let mode = pick(
                rng,
                &[
                    "bond_mode=active-backup",
                    "bond_mode=balance-slb",
                    "lacp=active bond_mode=balance-tcp",
                    "bond_mode=balance-slb lacp=active tag=6",
                    "x=y",
                ],
            );
            let bridge = format!("vmbr{number}");
            stanzas.push((
                name.clone(),
                vec![
                    of("ovs_bonds", &members.join(" ")),
                    of("ovs_type", "OVSBond"),
                    of("ovs_bridge", &bridge),
                    of("ovs_options", mode),
                ],
            ));
            stanzas.push((
                format!("in{number}"),
                vec![
                    of("ovs_type", "OVSIntPort"),
                    of("ovs_bridge", &bridge),
                    of("ovs_options", pick(rng, &["tag=9", "tag=5 vlan_mode=access"])),
                ],
            ));
            let ports = if one_in(rng, 6) { name } else { format!("{name} in{number}") };
            stanzas.push((bridge, vec![of("ovs_type", "OVSBridge"), of("ovs_ports", &ports)]));
            continue;
        }
        let mode = pick(
            rng,
            &[
                "0",
                "1",
                "2",
                "3",
                "4",
                "5",
                "6",
                "balance-rr",
                "active-backup",
                "balance-xor",
                "broadcast",
                "802.3ad",
                "balance-tlb",
                "balance-alb",
            ],
        );
        let mut options = vec![of("bond-slaves", &members.join(" ")), of("bond-miimon", "100"), of("bond-mode", mode)];
        if rng.bool() {
            options.push(of("bond-xmit-hash-policy", "layer2+3"));
        }
        if one_in(rng, 3) {
            options.push(of("bond-primary", &members[0]));
        }
        stanzas.push((name.clone(), options));
        free.push(name);
    }
    for number in 2..2 + rng.u8(..4) {
        let port = match (rng.u8(..4), free.pop()) {
            (1.., Some(port)) => {
                if one_in(rng, 4) {
                    format!("{port}.{}", rng.u16(1..4095))
                } else {
                    port
                }
            }
            _ => "none".into(),
        };
        let mut options = vec![
            of("bridge-ports", &port),
            of("bridge-stp", pick(rng, &["off", "off", "on"])),
            of("bridge-fd", pick(rng, &["0", "15", "2"])),
        ];
        if rng.bool() {
            options.push(of("bridge-vlan-aware", "yes"));
            options.push(of("bridge-vids", pick(rng, &["2-4094", "5 7 10-20"])));
        }
        if one_in(rng, 5) {
            options.push(of("mtu", pick(rng, &["1400", "1500"])));
        }
        if port != "none" && one_in(rng, 5) {
            let own = vec![of(pick(rng, &["bridge-access", "bridge-learning", "bridge-unicast-flood"]), "1")];
            stanzas.push((port, own));
        }
        let name = format!("vmbr{number}");
        tops.push(name.clone());
        stanzas.push((name, options));
    }
    tops.extend(free.iter().cloned());
    for _ in 0..rng.u8(..4) {
        let Some(parent) = rng.choice(&tops).cloned() else { break };
        let tag = rng.u16(1..4095).to_string();
        match rng.u8(..5) {
            0 => stanzas.push((format!("vlan{tag}"), vec![of("vlan-raw-device", &parent)])),
            1 => stanzas.push((
                format!("{}{tag}", pick(rng, &["dmz", "lan"])),
                vec![of("vlan-raw-device", &parent), of("vlan-id", &tag)],
            )),
            2 => stanzas.push((format!("{parent}:{}", rng.u8(..5)), Vec::new())),
            3 => stanzas.push((
                format!("vxlan{tag}"),
                vec![of("vxlan-id", &tag), of("vxlan-remoteip", "192.0.2.7"), of("vxlan-remoteip", "192.0.2.8")],
            )),
            _ => stanzas.push((
                format!("{parent}.{tag}"),
                vec![of("vlan-protocol", pick(rng, &["802.1q", "802.1ad"]))].split_off(usize::from(rng.bool())),
            )),
        }
    }
    if one_in(rng, 6) {
        stanzas.push((pick(rng, &["dummy0", "wg0", "tun1"]).into(), vec![of("link-type", "dummy")]));
    }
    if one_in(rng, 4) {
        rng.shuffle(&mut stanzas);
    }
    let mut lines = Vec::new();
    for (name, mut options) in stanzas {
        while one_in(rng, 6) {
            lines.push(between(rng));
        }
        if !one_in(rng, 3) {
            lines.push(format!("{} {name}", pick(rng, &["auto", "auto", "auto", "allow-hotplug", "allow-ovs"])));
        }
        let top = tops.contains(&name) || name.contains(['.', ':']) || name.starts_with("vlan");
        if one_in(rng, 8) {
            options.push(option(rng));
        }
        if one_in(rng, 4) {
            options.push((pick(rng, &["up", "post-up", "hwaddress", "pre-down", "metric"]).into(), command(rng)));
        }
        let (four, six) = (format!("192.0.{}.{}", rng.u8(..), rng.u8(..)), format!("2001:db8::{:x}", rng.u16(..)));
        let with = |address: &str, mask: &str| {
            if mask.len() < 4 {
                vec![of("address", &format!("{address}/{mask}"))]
            } else {
                vec![of("address", address), of("netmask", mask)]
            }
        };
        let mut heads: Vec<(String, Vec<(String, String)>)> = Vec::new();
        if top && rng.bool() {
            let mut address = with(&four, pick(rng, &["24", "16", "255.255.255.0"]));
            if one_in(rng, 4) {
                address.push(of("gateway", "192.0.2.1"));
            }
            heads.push((" inet static".into(), address));
            if one_in(rng, 3) {
                let mut address = vec![of("address", &six), of("netmask", "64")];
                if rng.bool() {
                    address = with(&six, "64");
                    address.push(of("gateway", "2001:db8::1"));
                }
                heads.push((" inet6 static".into(), address));
            }
            if one_in(rng, 4) {
                rng.shuffle(&mut heads);
            }
        } else {
            heads.push((
                pick(rng, &[" inet manual", " inet manual", "", " inet dhcp", " inet6 auto", " inet6 manual"]).into(),
                Vec::new(),
            ));
            if name == "lo" {
                heads[0].0 = " inet loopback".into();
            }
        }
        for (number, (head, address)) in heads.into_iter().enumerate() {
            lines.push(format!("iface {name}{head}"));
            let mut all = address;
            if number == 0 {
                all.append(&mut options);
            }
            if one_in(rng, 6) {
                rng.shuffle(&mut all);
            }
            body(rng, &style, &mut lines, all);
        }
    }
    if rng.bool() {
        lines.push("source /etc/network/interfaces.d/*".into());
    }
    finish(rng, &style, &lines)
}
