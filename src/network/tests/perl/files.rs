//! Files as people, installers and accidents make them, with what the kernel has and a few changes: all from a seed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use fastrand::Rng;
use model::proxmox::{Link, Links};
use serde_json::{Map, Value as Json, json};

/// One question to both sides.
pub struct Case {
    /// The file.
    pub file: Vec<u8>,
    /// What the kernel has.
    cards: Vec<Card>,
    active: Vec<String>,
    /// What is changed after reading, as `ask.pl` takes it.
    pub edits: Vec<Json>,
    /// Whether ifupdown2 will read what is written.
    pub ifupdown2: bool,
}

struct Card {
    name: String,
    physical: bool,
    altnames: Vec<String>,
}

impl Case {
    pub fn new(seed: u64, samples: &[Vec<u8>]) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let cards = cards(rng);
        let mut file = match rng.u8(..10) {
            0..5 => orderly(rng, &cards).into_bytes(),
            5..8 => soup(rng).into_bytes(),
            _ => rng.choice(samples).cloned().unwrap_or_default(),
        };
        while one_in(rng, 3) {
            damage(rng, &mut file, samples);
        }
        let mut names = named(&file);
        names.extend(cards.iter().map(|card| card.name.clone()));
        let active = names.iter().filter(|_| rng.bool()).cloned().collect();
        let edits = (0..rng.usize(..5).saturating_sub(1)).map(|_| edit(rng, &names)).collect();
        Self { file, cards, active, edits, ifupdown2: !one_in(rng, 8) }
    }

    pub fn links(&self) -> Links {
        let link = |card: &Card| (card.name.clone(), Link { physical: card.physical, altnames: card.altnames.clone() });
        Links { links: self.cards.iter().map(link).collect(), active: self.active.clone() }
    }

    pub fn question(&self) -> Json {
        let link = |card: &Card| {
            let mut link = json!({"ifname": card.name, "link_type": "ether"});
            if !card.physical {
                link["linkinfo"] = json!({"info_kind": "bridge"});
            }
            if !card.altnames.is_empty() {
                link["altnames"] = json!(card.altnames);
            }
            (card.name.clone(), link)
        };
        json!({
            "file": self.file.iter().copied().map(char::from).collect::<String>(),
            "links": self.cards.iter().map(link).collect::<Map<_, _>>(),
            "active": self.active,
            "edits": self.edits,
            "ifupdown2": u8::from(self.ifupdown2),
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.file.split_inclusive(|b| *b == b'\n') {
            writeln!(f, "| {}", line.escape_ascii())?;
        }
        for card in &self.cards {
            writeln!(f, "link {} {:?}{}", card.name, card.altnames, if card.physical { "" } else { " (no card)" })?;
        }
        for edit in &self.edits {
            writeln!(f, "then {edit}")?;
        }
        write!(f, "for {}", if self.ifupdown2 { "ifupdown2" } else { "ifupdown" })
    }
}

/// Files to damage: Proxmox's own, where they are.
pub fn samples(vectors: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![vectors.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut inside: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        inside.sort();
        for path in inside {
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|n| n == "interfaces" || n == "interfaces.new" || n == "expected") {
                found.extend(std::fs::read(path));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn pick<'a>(rng: &mut Rng, list: &[&'a str]) -> &'a str {
    list[rng.usize(..list.len())]
}

const CARDS: [&str; 10] = ["eth0", "eth1", "eno1", "eno2", "enp3s0", "enp3s0f1np1", "ens18", "nic0", "ib0", "wlp2s0"];

fn cards(rng: &mut Rng) -> Vec<Card> {
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
const NAMES: [&str; 62] = [
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

fn name(rng: &mut Rng) -> String {
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

fn names(rng: &mut Rng) -> String {
    let mut out = name(rng);
    while rng.bool() {
        out.push_str(pick(rng, &[" ", " ", " ", "  ", "\t"]));
        out.push_str(&name(rng));
    }
    out
}

fn four(rng: &mut Rng) -> String {
    match rng.u8(..12) {
        0 => "0.0.0.0".into(),
        1 => {
            pick(rng, &["0", "10.0.0", "dhcp", "192.0.2.1/", "10.0.0.1/24/8", "fe80::1", "192.0.2.999", "host"]).into()
        }
        _ => format!("192.0.{}.{}", rng.u8(..4), rng.u8(..)),
    }
}

fn six(rng: &mut Rng) -> String {
    match rng.u8(..8) {
        0 => "::".into(),
        1 => pick(rng, &["fe80::1%eth0", "::ffff:192.0.2.1", "2001:DB8::5", "192.0.2.6", "0"]).into(),
        _ => format!("2001:db8:{:x}::{:x}", rng.u8(..4), rng.u16(..)),
    }
}

fn mask(rng: &mut Rng) -> &'static str {
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

fn address(rng: &mut Rng) -> String {
    let base = if one_in(rng, 3) { six(rng) } else { four(rng) };
    match rng.u8(..8) {
        0..2 => base,
        2 => format!("{base}/{}", pick(rng, &["0", "32", "128", "024", "x", "", "255.255.255.0", "999"])),
        _ => format!("{base}/{}", rng.u8(8..=64)),
    }
}

fn mtu(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "1500", "1400", "9000", "1280", "1500", "0", "", "1450x", "1.5e3", "01500", "+1500", "-1", "x", "1_500",
            "inf", "nan", "0x5dc", "1500.5", "1499.9", ".5e4",
        ],
    )
}

/// A line of a stanza: name and value.
fn option(rng: &mut Rng) -> (String, String) {
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

fn command(rng: &mut Rng) -> String {
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

fn ports(rng: &mut Rng) -> String {
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

fn comment(rng: &mut Rng) -> String {
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
fn between(rng: &mut Rng) -> String {
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

fn family(rng: &mut Rng) -> String {
    let method = pick(rng, &["manual", "static", "static", "dhcp", "auto", "loopback", "0", "ppp", "tunnel"]);
    match rng.u8(..10) {
        0..3 => String::new(),
        3..7 => format!(" inet {method}"),
        7..9 => format!(" inet6 {method}"),
        _ => pick(rng, &["  inet   manual", "\tinet\tstatic", " inet manual ", " inet6 auto\t"]).into(),
    }
}

/// Blanks, line ends and comments as they come.
struct Style {
    indent: &'static str,
    gap: &'static str,
    end: &'static str,
    comments: u32,
}

fn style(rng: &mut Rng) -> Style {
    Style {
        indent: pick(rng, &["\t", "\t", "\t", "    ", "", "  \t", "\u{b}"]),
        gap: pick(rng, &[" ", " ", " ", "\t", "  ", " \t "]),
        end: pick(rng, &["\n", "\n", "\n", "\n", "\n", "\n", " \n", "\t\n", "\r\n", "\u{c}\n"]),
        comments: [3, 8, 30][rng.usize(..3)],
    }
}

/// Anything in any order.
fn soup(rng: &mut Rng) -> String {
    let mut style = style(rng);
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..rng.usize(1..9) {
        for _ in 0..rng.usize(..3) {
            lines.push(between(rng));
        }
        if one_in(rng, 4) {
            style = self::style(rng);
        }
        let name = name(rng);
        if rng.bool() {
            lines.push(format!("auto {name}"));
        }
        stanza(rng, &style, &mut lines, &name, |_, _| ());
    }
    finish(rng, &style, &lines)
}

fn stanza(
    rng: &mut Rng,
    style: &Style,
    lines: &mut Vec<String>,
    name: &str,
    more: impl Fn(&mut Rng, &mut Vec<(String, String)>),
) {
    lines.push(format!("iface {name}{}", family(rng)));
    let mut options = Vec::new();
    more(rng, &mut options);
    for _ in 0..rng.usize(..5) {
        options.push(option(rng));
    }
    body(rng, style, lines, options);
}

fn body(rng: &mut Rng, style: &Style, lines: &mut Vec<String>, options: Vec<(String, String)>) {
    for (id, value) in options {
        if one_in(rng, style.comments) {
            lines.push(comment(rng));
        }
        lines.push(format!("{}{id}{}{value}", style.indent, style.gap));
    }
    if one_in(rng, style.comments) {
        lines.push(comment(rng));
    }
    if !one_in(rng, 10) {
        lines.push(String::new());
    }
}

fn finish(rng: &mut Rng, style: &Style, lines: &[String]) -> String {
    let mut text: String = lines.iter().flat_map(|line| [line.as_str(), style.end]).collect();
    if one_in(rng, 10) {
        text.truncate(text.trim_end().len());
    }
    text
}

/// A node as it could be: members exist, each has one place, addresses are at the top.
fn orderly(rng: &mut Rng, cards: &[Card]) -> String {
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

/// One accident.
fn damage(rng: &mut Rng, file: &mut Vec<u8>, samples: &[Vec<u8>]) {
    let mut lines: Vec<Vec<u8>> = file.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (at, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u8(..11) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(other, lines[at].clone()),
        2 => lines.swap(at, other),
        3 => lines.truncate(at),
        4 => lines[at].truncate(other),
        5 => {
            let byte = rng.usize(..lines[at].len());
            lines[at][byte] = b"abeinot0159 \t\n#.:/-,=\\\x00\x0b\x0c\r"[rng.usize(..26)];
        }
        6 => lines.insert(at, format!("{}\n", between(rng)).into_bytes()),
        7 => {
            let (id, value) = option(rng);
            lines.insert(at, format!("\t{id} {value}\n").into_bytes());
        }
        8 => {
            let byte = rng.usize(..lines[at].len());
            lines[at].remove(byte);
        }
        9 => {
            let byte = rng.usize(..lines[at].len());
            let more = pick(rng, &["é", "à", " ", "\t", "#", "eth0", "0", "\r", ".5", ":1", "/24"]);
            lines[at].splice(byte..byte, more.bytes());
        }
        _ => {
            // Part of another file, in the middle of this one.
            let stranger = rng.choice(samples).cloned().unwrap_or_else(|| soup(rng).into_bytes());
            let more: Vec<Vec<u8>> = stranger.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let from = rng.usize(..=more.len());
            lines.splice(at..at, more.into_iter().skip(from).take(12));
        }
    }
    *file = lines.concat();
}

/// Names that follow `iface`.
fn named(file: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(file);
    let name = |line: &str| line.trim_start().strip_prefix("iface ")?.split_whitespace().next().map(str::to_owned);
    text.lines().filter_map(name).collect()
}

/// A change, as the API makes it.
fn edit(rng: &mut Rng, names: &[String]) -> Json {
    let iface = match rng.choice(names) {
        Some(name) if !one_in(rng, 6) => name.clone(),
        // The API takes no name with a blank in it.
        _ => name(rng).replace('\u{a0}', ""),
    };
    let settings = |pairs: &[(&str, String)]| -> Map<String, Json> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
    };
    match rng.u8(..14) {
        0 => json!({"iface": iface, "drop": 1}),
        1 => {
            // What PUT makes of an address.
            let (four, six) = (rng.bool(), one_in(rng, 3));
            let mut set = settings(&[("method", "manual".into()), ("method6", "manual".into())]);
            let mut families = Vec::new();
            for (given, family, suffix) in [(four, "inet", ""), (six, "inet6", "6")] {
                if given {
                    let address = if suffix.is_empty() { self::four(rng) } else { self::six(rng) };
                    set.insert(format!("address{suffix}"), json!(address));
                    set.insert(format!("netmask{suffix}"), json!(mask(rng)));
                    set.insert(format!("method{suffix}"), json!("static"));
                    families.push(family);
                }
            }
            if families.is_empty() {
                families.push("inet");
            }
            set.insert("families".into(), json!(families));
            json!({"iface": iface, "set": set})
        }
        2 => {
            let suffix = pick(rng, &["", "6"]);
            let unset = ["cidr", "address", "netmask", "gateway"].map(|key| format!("{key}{suffix}"));
            json!({"iface": iface, "unset": unset, "set": {"families": ["inet"], "method": "manual", "method6": "manual"}})
        }
        3 => json!({"iface": iface, "set": settings(&[(pick(rng, &["gateway", "gateway6"]), four(rng))])}),
        4 => json!({"iface": iface, "set": settings(&[("mtu", mtu(rng).into())])}),
        5 => {
            json!({"iface": iface, "set": settings(&[(pick(rng, &["comments", "comments6"]), pick(rng, &["", "0", "one", "one\n", "one\ntwo", "\none", "\n\n", "ü\n", "#\n"]).into())])})
        }
        6 => {
            json!({"iface": iface, "set": settings(&[("autostart", pick(rng, &["0", "1"]).into())]), "unset": ["autostart"]})
        }
        7 => {
            let key = pick(rng, &["bridge_ports", "slaves", "ovs_ports", "ovs_bonds"]);
            let list = ports(rng).replace(' ', pick(rng, &[" ", ",", ";", ", ", "  "]));
            let ends = pick(rng, &["", "", "", " ", ","]);
            json!({"iface": iface, "set": settings(&[(key, format!("{ends}{list}{ends}"))])})
        }
        8 => {
            let keys = [
                "mtu",
                "gateway",
                "comments",
                "autostart",
                "bridge_vlan_aware",
                "vlan-id",
                "vlan-raw-device",
                "slaves",
                "bond_mode",
                "ovs_tag",
                "method",
                "method6",
                "priority_",
                "options",
            ];
            json!({"iface": iface, "unset": [pick(rng, &keys), pick(rng, &keys)]})
        }
        9 => {
            json!({"iface": iface, "set": settings(&[("type", pick(rng, &["eth", "bridge", "bond", "vlan", "OVSBridge", "OVSBond", "OVSIntPort", "OVSPort", "alias", "unknown"]).into())])})
        }
        10 => {
            json!({"iface": iface, "set": settings(&[(pick(rng, &["ovs_tag", "ovs_options", "bond_mode", "bridge_vids", "uplink-id", "bond-primary", "vlan-id", "bridge_vlan_aware", "bridge_fd"]), pick(rng, &["5", "0", "active-backup", "lacp-balance-slb", "balance-slb", "lacp-balance-tcp", "eth0", "a=b", ""]).into())])})
        }
        _ => {
            let mut new =
                settings(&[("method", "manual".into()), ("method6", "manual".into()), ("autostart", "1".into())]);
            new.insert("families".into(), json!(["inet"]));
            let (name, more) = match rng.u8(..6) {
                0 => (
                    format!("bond{}", rng.u8(..30)),
                    settings(&[
                        ("type", "bond".into()),
                        ("slaves", ports(rng)),
                        ("bond_mode", pick(rng, &["balance-rr", "active-backup", "802.3ad"]).into()),
                        ("bond_xmit_hash_policy", "layer2".into()),
                    ]),
                ),
                1 => (
                    format!("vmbr{}", rng.u8(10..90)),
                    settings(&[
                        ("type", "bridge".into()),
                        ("bridge_ports", if rng.bool() { String::new() } else { ports(rng) }),
                        ("bridge_vids", "2-9".into()),
                    ]),
                ),
                2 => (format!("{iface}.{}", rng.u16(1..4094)), settings(&[("type", "vlan".into())])),
                3 => (
                    format!("vlan{}", rng.u16(1..4094)),
                    settings(&[("type", "vlan".into()), ("vlan-raw-device", iface), ("vlan-id", "7".into())]),
                ),
                4 => (
                    format!("vmbr{}", rng.u8(10..90)),
                    settings(&[("type", "OVSBridge".into()), ("ovs_ports", ports(rng)), ("comments", "new\n".into())]),
                ),
                _ => (
                    format!("in{}", rng.u8(..)),
                    settings(&[("type", "OVSIntPort".into()), ("ovs_bridge", "vmbr0".into()), ("ovs_tag", "5".into())]),
                ),
            };
            new.extend(more);
            json!({"iface": name, "new": new})
        }
    }
}
