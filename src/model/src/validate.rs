//! What is wrong with a node's network file, found at once and each with a way out: what Proxmox
//! refuses ([`crate::proxmox::Fault`]) and what it lets through and shouldn't. Codes are listed in
//! `docs/network-errors.md`.

mod addresses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::files::{MAIN, Reading};
use crate::interfaces::{self, Iface, Kind as StanzaKind, Opt, ParseError};
use crate::proxmox::{Flavour, Kind, Links, Network, read, refusal};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and surprises somebody some day.
    Warning,
    /// It does not work, or cuts something off.
    Error,
}

impl Severity {
    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `PVN0xx`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where in the file, counted from 1; `None` if it is in no one line.
    pub line: Option<usize>,
    /// The interface it is about; empty if it is about the file.
    pub interface: String,
    /// What is wrong, one line.
    pub what: String,
    /// What to do about it, one line.
    pub fix: String,
}

/// Everything that is wrong with a file, in the order of its lines.
pub fn validate(bytes: &[u8], links: &Links) -> Vec<Finding> {
    match interfaces::parse(bytes) {
        Ok(file) => {
            let stanzas = file.stanzas.iter().filter_map(|s| match &s.kind {
                StanzaKind::Iface(iface) => Some((s.line, iface)),
                _ => None,
            });
            judge(bytes, Ok(stanzas.collect()), links)
        }
        Err(error) => judge(bytes, Err(&error), links),
    }
}

/// The same of [`MAIN`](crate::MAIN) in files that were read already.
pub fn validate_as_read(read: &Reading<'_>, links: &Links) -> Vec<Finding> {
    let bytes = read.files.get(MAIN).unwrap_or_default();
    let parsed = match read.faults.iter().find(|fault| fault.file == Path::new(MAIN)) {
        None => Ok(read.configuration.of_file(Path::new(MAIN))),
        Some(fault) => Err(&fault.error),
    };
    judge(bytes, parsed, links)
}

/// Stanzas with their lines, in the order of the file.
type Stanzas<'a> = Vec<(usize, &'a Iface<'a>)>;

fn judge(bytes: &[u8], parsed: Result<Stanzas<'_>, &ParseError>, links: &Links) -> Vec<Finding> {
    let network = match read(bytes, links) {
        Ok(network) => network,
        Err(error) => {
            return vec![Finding {
                code: "PVN001",
                severity: Severity::Error,
                line: Some(error.line),
                interface: String::new(),
                what: format!("column {}: not UTF-8; Proxmox would write other bytes back", error.column),
                fix: "write the line in UTF-8".into(),
            }];
        }
    };
    let stanzas = match parsed {
        Ok(stanzas) => stanzas,
        Err(error) => {
            return vec![Finding {
                code: "PVN002",
                severity: Severity::Error,
                line: Some(error.line),
                interface: String::new(),
                what: error.what.clone(),
                fix: "mend or remove the line".into(),
            }];
        }
    };
    // Backwards, so that the first stanza of a name is the one that stays.
    let first = stanzas.iter().rev().map(|(line, iface)| (&*iface.name, *line)).collect();
    let mut check = Check { network: &network, stanzas, first, found: Vec::new() };
    check.all();
    let Check { first, mut found, .. } = check;
    if let Some(fault) = refusal(network, Flavour::Ifupdown2) {
        found.push(Finding {
            code: fault.code,
            severity: Severity::Error,
            line: first.get(fault.interface.as_str()).copied(),
            interface: fault.interface,
            what: fault.what,
            fix: "Proxmox refuses to write this: mend it before the next change by GUI or API".into(),
        });
    }
    found.sort_by(|a, b| (a.line, a.code, &a.interface).cmp(&(b.line, b.code, &b.interface)));
    found
}

struct Check<'a, 'n> {
    network: &'n Network,
    stanzas: Stanzas<'a>,
    /// The line of each interface's first stanza.
    first: BTreeMap<&'a str, usize>,
    found: Vec<Finding>,
}

/// The longest name of an interface that the kernel takes, in bytes (IFNAMSIZ less the NUL).
const NAME_MAX: usize = 15;

impl Check<'_, '_> {
    fn add(
        &mut self,
        code: &'static str,
        severity: Severity,
        interface: &str,
        line: Option<usize>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let line = line.or_else(|| self.first.get(interface).copied());
        let (interface, what, fix) = (interface.to_owned(), what.into(), fix.into());
        self.found.push(Finding { code, severity, line, interface, what, fix });
    }

    fn all(&mut self) {
        self.loopback();
        self.names();
        self.families();
        self.options();
        self.types();
        self.addresses();
    }

    fn loopback(&mut self) {
        if self.stanzas.iter().all(|(_, i)| i.name != "lo") {
            let what = "lo is not configured: Proxmox keeps it out of the file, and much runs on 127.0.0.1";
            self.add("PVN043", Severity::Error, "", None, what, "add: auto lo / iface lo inet loopback");
        }
    }

    fn names(&mut self) {
        let mut seen = BTreeSet::new();
        for (line, iface) in self.stanzas.clone() {
            // An alias is no interface of the kernel's.
            let name = iface.name.split(':').next().unwrap_or_default();
            if name.len() > NAME_MAX && seen.insert(name) {
                let what = format!("the name {name} has {} bytes, the kernel takes {NAME_MAX}", name.len());
                self.add("PVN047", Severity::Error, &iface.name, Some(line), what, "take a shorter name");
            }
        }
    }

    fn families(&mut self) {
        let mut of: BTreeMap<&str, Vec<(usize, Option<&str>)>> = BTreeMap::new();
        for (line, iface) in &self.stanzas {
            of.entry(&iface.name).or_default().push((*line, iface.family.as_deref()));
        }
        for (name, stanzas) in of.into_iter().filter(|(_, s)| s.len() > 1) {
            let (line, family) = stanzas[stanzas.len() - 1];
            if stanzas.iter().any(|(_, family)| family.is_none()) {
                let what = format!(
                    "{name} has a stanza without a family beside others: Proxmox writes its options into each of them, and more of them at every write"
                );
                let fix = format!("join the stanzas of {name}, or give each a family");
                self.add("PVN048", Severity::Error, name, Some(line), what, fix);
            } else if stanzas.iter().filter(|(_, f)| *f == family).count() > 1 {
                let family = family.unwrap_or_default();
                let what = format!(
                    "{name} has more than one stanza {family}: Proxmox writes the last one twice and drops the others"
                );
                let fix = "join them into one, further addresses as post-up ip address add";
                self.add("PVN049", Severity::Error, name, Some(line), what, fix);
            }
        }
    }

    fn options(&mut self) {
        for (_, iface) in self.stanzas.clone() {
            for option in &iface.options {
                self.option(iface, option);
            }
        }
    }

    fn option(&mut self, iface: &Iface<'_>, option: &Opt<'_>) {
        let (name, line) = (&iface.name, Some(option.line));
        let value = String::from_utf8_lossy(&option.value);
        if option.is("bridge-vlan-aware") && !["yes", "on", "1"].contains(&&*value.to_ascii_lowercase()) {
            let what = format!("bridge-vlan-aware {value}: Proxmox reads every value as yes and writes yes");
            self.add("PVN041", Severity::Error, name, line, what, "remove the line");
        }
        if option.is("mtu") {
            let mtu = value.parse().unwrap_or(0u32);
            if !(1280..=65520).contains(&mtu) {
                let what = format!("mtu {value} is not between 1280 and 65520 bytes");
                self.add("PVN056", Severity::Error, name, line, what, "set one that every device on the way carries");
            }
        }
        let stp =
            |o: &&Opt| o.is("bridge-stp") && [&b"on"[..], b"yes"].contains(&o.value.to_ascii_lowercase().as_slice());
        if option.is("bridge-fd") && iface.options.iter().any(|o| stp(&o)) {
            let delay = value.parse().unwrap_or(0u32);
            if !(2..=30).contains(&delay) {
                let what = format!("bridge-fd {value}: with STP it is between 2 and 30 seconds, and Proxmox drops it");
                self.add("PVN052", Severity::Warning, name, line, what, "set 2 to 30, or bridge-stp off");
            }
        }
        if !option.value.is_ascii() {
            let what =
                format!("{} has letters beyond ASCII: Proxmox writes back others, more at each write", option.name);
            self.add("PVN059", Severity::Warning, name, line, what, "write it in ASCII; comments may have any letters");
        }
        if option.is("vlan-id") && value.trim() == "0" {
            self.add("PVN057", Severity::Error, name, line, "VLAN 0 is none", "set 1 to 4094");
        }
    }

    /// Settings of one type on an interface of another: what a change of type leaves behind.
    fn types(&mut self) {
        const OF: [(&str, &[Kind]); 6] = [
            ("bridge_ports", &[Kind::Bridge]),
            ("bridge_vlan_aware", &[Kind::Bridge]),
            ("slaves", &[Kind::Bond]),
            ("bond_mode", &[Kind::Bond, Kind::OvsBond]),
            ("ovs_bonds", &[Kind::OvsBond]),
            ("ovs_ports", &[Kind::OvsBridge]),
        ];
        for (name, interface) in &self.network.interfaces {
            let Some(kind) = interface.kind else { continue };
            for (key, kinds) in OF {
                if interface.settings.contains_key(key) && !kinds.contains(&kind) {
                    let what = format!("{name} is of type {kind} and has {key}, which that type does not know");
                    let fix = format!("remove {key}, or the options that make it a {kind}");
                    self.add("PVN042", Severity::Error, name, None, what, fix);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
