//! What goes into the bundle, in an order in which one reads.

use std::path::Path;
use std::time::Duration;

use history::{What, snapshot};
use host::{Command, IoContext, Result};

use super::archive::Part;
use crate::Node;
use ::cli::redact::{Form, redact};

/// Of a file that grows, this much from its end (1 MiB).
const TAIL: u64 = 1 << 20;

/// Other people's secrets, whatever is in them.
const PRIVATE: &str = "/etc/pve/priv";

/// Everything, secrets removed.
pub(crate) fn collect(node: &Node, units: &[String]) -> Vec<Part> {
    let mut parts = vec![health(node)];
    parts.extend(captured(node));
    parts.extend(state(node));
    parts.extend(manifests(node));
    for (name, path) in [
        ("log/migration.log", "/var/log/pve-network/migration.log"),
        ("log/dpkg.log", "/var/log/dpkg.log"),
        ("log/apt-history.log", "/var/log/apt/history.log"),
    ] {
        parts.push(part(name, tail(&node.store.root.path(path)), Form::Log));
    }
    parts.extend(commands(node, units));
    parts
}

fn part(name: impl Into<String>, content: std::result::Result<String, String>, form: Form) -> Part {
    Part { name: name.into(), content: content.map(|text| redact(&text, form)) }
}

fn health(node: &Node) -> Part {
    let report = crate::health::report(node).json();
    let text = serde_json::to_string_pretty(&report).map_err(|e| e.to_string());
    part("health.json", text, Form::Log)
}

/// Configuration of this node and of the cluster, as a snapshot would have it.
fn captured(node: &Node) -> Vec<Part> {
    let present = match snapshot::present(&node.store, true) {
        Ok(present) => present,
        Err(error) => return vec![part("files", Err(error.to_string()), Form::Config)],
    };
    let mut parts = Vec::new();
    let mut listing = String::new();
    for (entry, content) in present.entries.iter().zip(present.contents) {
        let path = entry.path.as_path();
        listing.push_str(&format!("{} {}\n", entry.what.digest(), entry.path));
        let name = format!("files{}", entry.path);
        let content = match (&entry.what, content) {
            _ if path.starts_with(PRIVATE) => {
                Err("left out: what lies below /etc/pve/priv is nobody else's business".into())
            }
            (_, Some(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            (What::Unreadable { why }, None) => Err(why.clone()),
            _ => continue, // absent, a folder, a link: in the listing
        };
        parts.push(part(name, content, Form::Config));
    }
    parts.push(part("files.txt", Ok(listing), Form::Log));
    parts
}

/// What lies directly in the state folder: journal, phase history, pending steps, ceiling.
fn state(node: &Node) -> Vec<Part> {
    let folder = node.store.path("");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            let why = host::Error::io(format!("cannot list {}", folder.display()), error).to_string();
            return vec![part("state", Err(why), Form::Log)];
        }
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort();
    names.into_iter().map(|name| part(format!("state/{name}"), tail(&folder.join(&name)), Form::Log)).collect()
}

/// Of snapshots only what they hold, not the content: that has secrets of its own.
fn manifests(node: &Node) -> Vec<Part> {
    match snapshot::list(&node.store) {
        Ok(all) => all
            .iter()
            .map(|s| {
                let content = tail(&s.path.join(snapshot::MANIFEST));
                part(format!("snapshots/{}/{}", s.id, snapshot::MANIFEST), content, Form::Log)
            })
            .collect(),
        Err(error) => vec![part("snapshots", Err(error.to_string()), Form::Log)],
    }
}

/// The end of a file, from the beginning of a line.
fn tail(path: &Path) -> std::result::Result<String, String> {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> Result<String> {
        let reading = || format!("cannot read {}", path.display());
        let mut file = std::fs::File::open(path).doing(reading)?;
        let length = file.metadata().doing(reading)?.len();
        let start = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(start)).doing(reading)?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes).doing(reading)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A line that is cut in its middle may have lost the name of its secret.
        Ok(if start == 0 { text } else { text.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned()) })
    };
    read().map_err(|e| e.to_string())
}

/// What the system says, none of it from the network.
fn commands(node: &Node, units: &[String]) -> Vec<Part> {
    let of_units: Vec<&str> = units.iter().flat_map(|u| ["-u", u.as_str()]).collect();
    let packages = [
        "pve-network-rs",
        "debseal",
        "pve-manager",
        "libpve-network-perl",
        "ifupdown2",
        "ifupdown",
        "frr",
        "pve-cluster",
    ];
    let mut list: Vec<(String, Vec<&str>)> = Vec::new();
    let mut add = |name: &str, line: Vec<&'static str>| list.push((name.to_owned(), line));
    add("date", vec!["date", "--iso-8601=seconds"]);
    add("uname", vec!["uname", "-a"]);
    add("uptime", vec!["uptime"]);
    add("pveversion", vec!["pveversion", "--verbose"]);
    add("pvecm-status", vec!["pvecm", "status"]);
    add("dpkg-audit", vec!["dpkg", "--audit"]);
    add("dpkg-packages", vec!["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${Version}\\n"]);
    add("dpkg-status", vec!["dpkg-query", "--status", "pve-network-rs"]);
    add("dpkg-verify", vec!["dpkg", "--verify", "pve-network-rs"]);
    add("systemctl-failed", vec!["systemctl", "--failed", "--no-pager", "--full"]);
    add("ip-address", vec!["ip", "-details", "address"]);
    add("ip-route", vec!["ip", "route", "show", "table", "all"]);
    add("ip-rule", vec!["ip", "rule"]);
    add("bridge-vlan", vec!["bridge", "vlan"]);
    add("df", vec!["df", "-h"]);
    add("df-inodes", vec!["df", "-i"]);
    // Its caches stay in memory: nothing is changed.
    list.push((
        "apt-policy".into(),
        [
            &["apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy"],
            packages.as_slice(),
        ]
        .concat(),
    ));
    list.push((
        "journal".into(),
        [&["journalctl", "--no-pager", "--output=short-iso", "--lines=2000"], of_units.as_slice()].concat(),
    ));
    let around = ["-u", "pve-cluster", "-u", "corosync", "-u", "pveproxy", "-u", "networking", "-u", "pvenetcommit"];
    list.push((
        "journal-around".into(),
        [&["journalctl", "--no-pager", "--output=short-iso", "--lines=500"], around.as_slice()].concat(),
    ));
    for unit in units {
        list.push((format!("status-{unit}"), vec!["systemctl", "status", "--no-pager", "--full", "--lines=0", unit]));
        list.push((format!("show-{unit}"), vec!["systemctl", "show", "--no-pager", unit]));
    }
    list.into_iter().map(|(name, line)| part(format!("commands/{name}.txt"), ask(node, &line), Form::Log)).collect()
}

fn ask(node: &Node, line: &[&str]) -> std::result::Result<String, String> {
    if !node.store.root.is_system() {
        return Err(format!("{} was not asked: this is not the running system", line[0]));
    }
    let command = Command::new(line[0]).args(line[1..].to_vec()).patience(Duration::from_secs(20));
    let out = command.run().map_err(|e| e.to_string())?;
    let code = out.code.map_or_else(|| "ended by a signal".to_owned(), |c| format!("exit code {c}"));
    Ok(format!("$ {}\n{}{}# {code}\n", command.line(), out.stdout, out.stderr))
}
