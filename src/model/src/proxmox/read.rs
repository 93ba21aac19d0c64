//! Reading, in two passes: the lines, then what each interface is.

use std::borrow::Cow;
use std::fmt;

use super::interface::{Family, Interface, Network, Value, of_family};
use super::kind::{self, Kind};
use super::links::Links;
use super::ovs;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1, in bytes.
    pub column: usize,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: not UTF-8", self.line, self.column)
    }
}

impl std::error::Error for Unreadable {}

/// Reads a file as Proxmox does, which takes every text for a file: what it does not understand is
/// kept in [`Network::others`] or among an interface's `options`.
///
/// # Errors
/// Bytes that are not UTF-8: Proxmox would write them back as others than they were.
pub fn read(bytes: &[u8], links: &Links) -> Result<Network, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Unreadable { line, column }
    })?;
    // Each byte is a character to Proxmox, save in comments: letters beyond ASCII are written back as others.
    let text: Cow<'_, str> =
        if text.is_ascii() { text.into() } else { text.bytes().map(char::from).collect::<String>().into() };
    let mut network = Lines::default().read(&text);
    from_kernel(&mut network, links);
    let mut children = Vec::new();
    for (name, interface) in &mut network.interfaces {
        if let Some(parent) = classify(name, interface, links) {
            children.push((name.clone(), parent));
        }
        addresses(interface);
        defaults(interface);
    }
    for (name, parent) in children {
        inherit(&mut network, &name, parent);
    }
    others(&mut network);
    Ok(network)
}

/// Perl's `\s`: so the bytes 85 and A0 are blank, of which letters as `à` consist in UTF-8.
pub(super) fn blank(c: char) -> bool {
    c.is_whitespace()
}

/// Perl's `\w`, as far as a byte goes.
fn word(c: char) -> bool {
    c.is_alphabetic() || c.is_ascii_digit() || c == '_'
}

/// As Perl splits at blanks: what stands in front of the first ones is a word, even if it is none.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let none_first = text.starts_with(blank) && !text.trim_matches(blank).is_empty();
    none_first.then_some("").into_iter().chain(text.split(blank).filter(|w| !w.is_empty()))
}

/// A comment is the only thing that Proxmox decodes; Unicode's noncharacters are damage to it.
fn decoded(comment: &str) -> String {
    let bytes: Vec<u8> = comment.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let none = |c: char| u32::from(c) & 0xfffe == 0xfffe || matches!(c, '\u{fdd0}'..='\u{fdef}');
    String::from_utf8_lossy(&bytes).replace(none, "\u{fffd}")
}

/// The first word and the rest, blanks between them dropped; `None` unless there are blanks.
fn keyword(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.trim_start_matches(blank).split_once(blank)?;
    Some((word, rest.trim_start_matches(blank)))
}

#[derive(Default)]
struct Lines {
    network: Network,
    next: u32,
}

impl Lines {
    fn read(mut self, text: &str) -> Network {
        self.next = 2; // 1 is lo's, where the file does not name it
        let mut lines = text.split_inclusive('\n').map(|l| l.strip_suffix('\n').unwrap_or(l)).peekable();
        let mut after_stanza = false;
        let mut body = Vec::new();
        while let Some(mut line) = lines.next() {
            // A line that ended a stanza has lost its trailing blanks.
            if std::mem::take(&mut after_stanza) {
                line = line.trim_end_matches(blank);
            }
            if line.trim_start_matches(blank).starts_with('#') {
                continue;
            }
            let parts = keyword(line);
            if let Some(("iface", rest)) = parts
                && let Some((name, typed)) = stanza(rest)
            {
                body.clear();
                while let Some(line) = lines.next_if(|line| belongs(line)) {
                    body.push(line.trim_end_matches(blank));
                }
                self.stanza(name, typed, &body);
                after_stanza = true;
            } else if let Some(("allow-auto" | "auto" | "allow-ovs" | "allow-hotplug", names)) = parts {
                for name in words(names) {
                    let interface = self.network.interfaces.entry(name.to_owned()).or_default();
                    interface.set("autostart", Value::Number(1));
                }
            } else if line.contains(word) {
                self.network.others.push((self.next, line.to_owned()));
                self.next += 1;
            }
        }
        self.network
    }

    fn stanza(&mut self, name: &str, typed: Option<(Family, &str)>, body: &[&str]) {
        let interface = self.network.interfaces.entry(name.to_owned()).or_default();
        if interface.priority.is_none() {
            interface.priority = Some(self.next);
            self.next += 1;
        }
        interface.families.push(typed.map(|(family, _)| family));
        let suffix = typed.map(|(family, _)| family.suffix());
        let mut comments: Option<String> = None;
        let mut options: Option<Vec<String>> = None;
        if suffix.is_none() {
            comments = interface.text("comments").map(str::to_owned);
            options = (!interface.list("options").is_empty()).then(|| interface.list("options").to_vec());
        }
        for line in body {
            let line = line.trim_start_matches(blank);
            if let Some(comment) = line.strip_prefix('#') {
                let comments = comments.get_or_insert_default();
                comments.push_str(&decoded(comment));
                comments.push('\n');
            } else if let Some((id, value)) = keyword(line)
                && !option(interface, id, value, suffix)
            {
                options.get_or_insert_default().push(line.to_owned());
            }
        }
        // A later stanza of the same family replaces these.
        let suffix = suffix.unwrap_or_default();
        if let Some((_, method)) = typed {
            interface.set(of_family("method", suffix), method);
        }
        if let Some(comments) = comments {
            interface.set(of_family("comments", suffix), comments);
        }
        if let Some(options) = options {
            interface.set(of_family("options", suffix), Value::List(options));
        }
    }
}

/// `NAME [inet|inet6 METHOD]` and nothing more.
fn stanza(rest: &str) -> Option<(&str, Option<(Family, &str)>)> {
    let mut words = words(rest);
    let name = words.next()?;
    let family = match words.next() {
        None => return Some((name, None)),
        Some("inet") => Family::Inet,
        Some("inet6") => Family::Inet6,
        Some(_) => return None,
    };
    let method = words.next()?;
    words.next().is_none().then_some((name, Some((family, method))))
}

/// Whether a line goes on with an `iface` stanza: a comment or an option with a value.
fn belongs(line: &str) -> bool {
    let text = line.trim_matches(blank);
    if text.starts_with('#') {
        return true;
    }
    if text.starts_with("allow-") {
        return false;
    }
    match keyword(text) {
        Some(("iface" | "mapping" | "auto" | "source" | "source-directory", _)) | None => false,
        Some((_, value)) => !value.is_empty(),
    }
}

/// Settings that are kept as they stand.
const SIMPLE: [&str; 26] = [
    "mtu",
    "ovs_type",
    "ovs_options",
    "ovs_bridge",
    "ovs_bonds",
    "ovs_ports",
    "bridge_fd",
    "bridge_vids",
    "bridge-access",
    "bridge-learning",
    "bridge-arp-nd-suppress",
    "bridge-unicast-flood",
    "bridge-multicast-flood",
    "bridge-disable-mac-learning",
    "bond_miimon",
    "bond_xmit_hash_policy",
    "bond-primary",
    "link-type",
    "uplink-id",
    "vlan-protocol",
    "vlan-raw-device",
    "vlan-id",
    "vxlan-id",
    "vxlan-svcnodeip",
    "vxlan-physdev",
    "vxlan-local-tunnelip",
];

/// Bond modes by number (`bond_mode` in the kernel's bonding.rst).
const BOND_MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

/// Notes an option that Proxmox understands; false if it does not.
fn option(interface: &mut Interface, id: &str, value: &str, suffix: Option<&str>) -> bool {
    let id = match id {
        "ovs_mtu" => "mtu",
        "bond-slaves" | "bond_slaves" => "slaves",
        "bond-xmit-hash-policy" => "bond_xmit_hash_policy",
        "bond-mode" => "bond_mode",
        "bond-miimon" => "bond_miimon",
        "bridge-vlan-aware" => "bridge_vlan_aware",
        "bridge-fd" => "bridge_fd",
        "bridge-stp" => "bridge_stp",
        "bridge-ports" => "bridge_ports",
        "bridge-vids" => "bridge_vids",
        other => other,
    };
    match id {
        "address" | "netmask" | "broadcast" | "gateway" => {
            let name =
                ["address", "netmask", "broadcast", "gateway"].into_iter().find(|n| *n == id).unwrap_or_default();
            let six = match suffix {
                Some(suffix) => suffix,
                // Without a family the value tells; a mask tells nothing.
                None if id != "netmask" && value.contains(':') => "6",
                None => "",
            };
            interface.set(of_family(name, six), value);
        }
        "slaves" => ports(interface, "slaves", value),
        "bridge_ports" => ports(interface, "bridge_ports", value),
        "bridge_stp" => {
            let on = ["on", "yes"].iter().any(|w| value.trim_matches(blank).eq_ignore_ascii_case(w));
            interface.set("bridge_stp", if on { "on" } else { "off" });
        }
        "bridge_vlan_aware" => interface.set("bridge_vlan_aware", Value::Number(1)),
        "bond_mode" => {
            let name = BOND_MODES.iter().enumerate().find(|(number, _)| number.to_string() == value);
            interface.set("bond_mode", name.map_or(value, |(_, name)| *name));
        }
        "vxlan-remoteip" => {
            let mut all = interface.list(id).to_vec();
            all.push(value.to_owned());
            interface.set("vxlan-remoteip", Value::List(all));
        }
        _ => match SIMPLE.into_iter().find(|known| *known == id) {
            Some(known) => interface.set(known, value),
            None => return false,
        },
    }
    true
}

/// Ports are sorted, each once a line; a second line goes behind the first.
fn ports(interface: &mut Interface, id: &'static str, value: &str) {
    let mut ports: Vec<&str> = words(value).filter(|p| *p != "none").collect();
    if ports.len() < words(value).count() && id == "bridge_ports" {
        interface.set(EMPTY_BRIDGE, Value::Number(1));
    }
    ports.sort_unstable();
    ports.dedup();
    let ports = if ports == ["0"] { String::new() } else { ports.join(" ") }; // 0 is false
    let all = match interface.true_text(id) {
        Some(before) if !ports.is_empty() => format!("{before} {ports}"),
        Some(before) => before.into_owned(),
        None => ports,
    };
    interface.set(id, all);
}

/// A mark between the passes: `bridge_ports none`.
const EMPTY_BRIDGE: &str = "is_empty_bridge";

/// Network cards exist whether the file names them or not, under whichever of their names it has.
fn from_kernel(network: &mut Network, links: &Links) {
    for (name, link) in links.links.iter().filter(|(_, l)| l.physical) {
        let known = link.altnames.iter().find(|a| network.interfaces.contains_key(*a)).unwrap_or(name);
        network.interfaces.entry(known.clone()).or_default().set("exists", Value::Number(1));
    }
    for name in &links.active {
        if let Some(interface) = network.interfaces.get_mut(name) {
            interface.set("active", Value::Number(1));
        }
    }
    if !network.interfaces.contains_key("lo") {
        let mut lo = Interface { priority: Some(1), ..Interface::default() };
        lo.set("method", "loopback");
        lo.set("autostart", Value::Number(1));
        network.interfaces.insert("lo".into(), lo);
    }
}

/// Says what an interface is, and notes what follows from that; returns whose child it is.
fn classify(name: &str, interface: &mut Interface, links: &Links) -> Option<String> {
    let ovs = interface.text("ovs_type").map(str::to_owned);
    let ovs = ovs.as_deref();
    let mut kind = Kind::Unknown;
    let mut parent = None;
    if interface.settings.contains_key("bridge_ports") || interface.holds(EMPTY_BRIDGE) {
        interface.settings.remove(EMPTY_BRIDGE);
        kind = Kind::Bridge;
        if !interface.settings.contains_key("bridge_stp") {
            interface.set("bridge_stp", "off");
        }
        if !interface.settings.contains_key("bridge_fd") && interface.text("bridge_stp") == Some("off") {
            interface.set("bridge_fd", Value::Number(0));
        }
    } else if ovs == Some("OVSBridge") {
        kind = Kind::OvsBridge;
    } else if kind::numbered(name, "bond").is_some() {
        match ovs {
            None | Some("" | "0") => kind = Kind::Bond,
            Some("OVSBond") => {
                kind = Kind::OvsBond;
                ovs_bond(interface);
            }
            Some(_) => {}
        }
    } else if let Some(of) = kind::alias_of(name) {
        kind = Kind::Alias;
        parent = Some(of.to_owned());
    } else if let Some((of, tag)) = kind::vlan_name(name) {
        kind = Kind::Vlan;
        if !interface.holds("vlan-raw-device") {
            interface.set("vlan-raw-device", of);
        }
        if tag != "0" {
            interface.set("vlan-id", tag);
        }
        parent = interface.text("vlan-raw-device").map(str::to_owned);
    } else if interface.holds("vlan-raw-device") {
        kind = Kind::Vlan;
        if let Some(tag) = kind::numbered(name, "vlan").filter(|tag| *tag != "0") {
            interface.set("vlan-id", tag);
        }
        parent = interface.text("vlan-raw-device").map(str::to_owned);
    } else if links.find(name).is_some_and(|l| l.physical) || kind::looks_physical(name) {
        match ovs {
            None | Some("" | "0") => kind = Kind::Eth,
            Some("OVSPort") => {
                kind = Kind::OvsPort;
                tag(interface);
            }
            Some(_) => {}
        }
    } else if name == "lo" {
        kind = Kind::Loopback;
    } else if interface.holds("vxlan-id") {
        kind = Kind::Vxlan;
    } else if ovs == Some("OVSIntPort") {
        kind = Kind::OvsIntPort;
        tag(interface);
    } else if ovs.is_none() && interface.text("link-type") == Some("dummy") {
        kind = Kind::Dummy;
    }
    interface.kind = Some(kind);
    parent
}

/// A child exists if its parent does, which is there from now on.
fn inherit(network: &mut Network, name: &str, parent: String) {
    let exists = match network.interfaces.get(&parent) {
        Some(parent) => parent.settings.get("exists").cloned().unwrap_or(Value::Nothing),
        None => {
            network.interfaces.entry(parent).or_default().set("exists", Value::Number(0));
            Value::Number(0)
        }
    };
    if let Some(interface) = network.interfaces.get_mut(name) {
        interface.set("exists", exists);
    }
}

fn tag(interface: &mut Interface) {
    if let Some(tag) = ovs::take(interface, "tag") {
        interface.set("ovs_tag", tag);
    }
}

/// Mode and LACP stand among the OVS options and are one setting to Proxmox.
fn ovs_bond(interface: &mut Interface) {
    let mode = ovs::take(interface, "bond_mode");
    let lacp = ovs::take(interface, "lacp").is_some_and(|l| l == "active");
    let mode = match mode.as_deref() {
        Some("balance-slb") if lacp => Value::from("lacp-balance-slb"),
        Some("balance-tcp") => Value::from("lacp-balance-tcp"), // it needs LACP
        Some(mode) => Value::from(mode),
        None => Value::Nothing,
    };
    interface.set("bond_mode", mode);
    tag(interface);
}

/// ADDRESS/LENGTH: both, if it is one.
fn cidr(address: &str) -> Option<(&str, &str)> {
    let (base, length) = address.rsplit_once('/')?;
    (!base.is_empty() && kind::digits(length)).then_some((base, length))
}

fn addresses(interface: &mut Interface) {
    for suffix in ["", "6"] {
        let name = |what| of_family(what, suffix);
        let Some(address) = interface.true_text(name("address")) else { continue };
        let address = address.into_owned();
        if let Some((base, length)) = cidr(&address) {
            let (base, length) = (base.to_owned(), length.to_owned());
            interface.set(name("cidr"), address);
            interface.set(name("address"), base);
            interface.set(name("netmask"), length);
        } else if let Some(length) = interface.true_text(name("netmask")).as_deref().and_then(mask_length) {
            interface.set(name("cidr"), format!("{address}/{length}"));
            if suffix.is_empty() {
                interface.set("netmask", length);
            }
        } else {
            let whole = if suffix.is_empty() { 32 } else { 128 };
            interface.set(name("cidr"), format!("{address}/{whole}"));
        }
    }
}

/// The length that a netmask stands for: a number, or an IPv4 mask.
pub(super) fn mask_length(mask: &str) -> Option<String> {
    if kind::digits(mask) {
        return Some(mask.to_owned());
    }
    let bits = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    // No bit at all is no mask to Perl.
    (bits != 0 && bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones().to_string())
}

fn defaults(interface: &mut Interface) {
    for method in ["method", "method6"] {
        if !interface.holds(method) {
            interface.set(method, "manual");
        }
    }
    if let Some(Value::Text(six)) = interface.settings.remove("comments6")
        && Value::from(six.as_str()).holds()
    {
        let all = format!("{}{six}", interface.text("comments").unwrap_or_default());
        interface.set("comments", all);
    }
    if interface.families.is_empty() {
        interface.families.push(Some(Family::Inet));
    }
}

/// `allow-BRIDGE PORT…` is written anew from what is known of the bridge.
fn others(network: &mut Network) {
    let interfaces = &network.interfaces;
    let keep = |(priority, line): (u32, String)| -> Option<(u32, String)> {
        let Some((class, names)) = line.strip_prefix("allow-").and_then(|rest| rest.split_once(blank)) else {
            return Some((priority, line));
        };
        if class.is_empty() {
            return Some((priority, line));
        }
        if class == "ovs" {
            return None;
        }
        let taken = interfaces.get(class).map(|bridge| bridge.words("ovs_ports")).unwrap_or_default();
        let left: Vec<&str> =
            words(names.trim_start_matches(blank)).filter(|p| !taken.iter().any(|t| t == p)).collect();
        (!left.is_empty()).then(|| (priority, format!("allow-{class} {}", left.join(" "))))
    };
    network.others = std::mem::take(&mut network.others).into_iter().filter_map(keep).collect();
}
