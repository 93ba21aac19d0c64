//! Files as people, installers and accidents make them, with what the kernel has and a few changes: all from a seed.

use std::fmt;
use std::path::Path;

use fastrand::Rng;
use model::proxmox::{Link, Links};
use serde_json::{Map, Value as Json, json};

mod options;
mod orderly;
mod words;

use options::{between, comment, family, option, ports};
use orderly::orderly;
use words::{cards, four, mask, mtu, name};

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
                    let address = if suffix.is_empty() { words::four(rng) } else { words::six(rng) };
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
