//! `/etc/pve/network/migration.toml`: what the cluster's operator wants of every node.
//!
//! The file has no version of its own: every key has a default, so that a file written for an
//! older version stays readable, and a key this version does not know is an error, since a typing
//! mistake in `fallback_enabled` must not go unnoticed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use host::{Error, Result, files};

use crate::toml::{Field, Source};
use crate::{ChangeWindow, Phase};

/// A file larger than this is no `migration.toml` (64 KiB).
pub const MAX_SIZE: u64 = 64 * 1024;

/// The longest time Perl's API may be given, in seconds.
const MAX_TIMEOUT: u16 = 300;

const KEYS: [&str; 8] = [
    "phase",
    "fallback_enabled",
    "perl_api_base_url",
    "perl_api_timeout",
    "features",
    "log_migration_decisions",
    "nodes",
    "canary",
];

/// The file's content, with defaults for what it does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The phase of nodes that have none of their own; `perl-only` unless said.
    pub phase: Phase,
    /// Whether Perl answers where Rust fails; on unless said.
    pub fallback_enabled: bool,
    /// Where Perl's API listens; `https://127.0.0.1:8006` unless said.
    pub perl_api_base_url: String,
    /// How long Perl's API may take, in seconds, 1 to 300; 30 unless said.
    pub perl_api_timeout: u16,
    /// What may write.
    pub features: Features,
    /// Whether every decision is logged; on unless said.
    pub log_migration_decisions: bool,
    /// Nodes with a phase of their own.
    pub nodes: BTreeMap<String, Phase>,
    /// The order in which nodes are promoted.
    pub canary_order: Vec<String>,
    /// Where Prometheus answers, whom a gate asks; nobody unless said.
    pub canary_prometheus: Option<String>,
    /// When nodes may be promoted; at any time unless said.
    pub change_window: Option<ChangeWindow>,
}

/// Which of our programs may write; both off unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `pvenet` writes by itself rather than through `pvenet-legacy`.
    pub rust_cli: bool,
    /// The daemon writes.
    pub rust_daemon: bool,
}

impl Features {
    /// All names.
    pub const NAMES: [&'static str; 2] = ["rust_cli", "rust_daemon"];

    /// Whether a feature is on; `None` if there is none of this name.
    pub fn get(self, name: &str) -> Option<bool> {
        match name {
            "rust_cli" => Some(self.rust_cli),
            "rust_daemon" => Some(self.rust_daemon),
            _ => None,
        }
    }

    /// The names of the features that `phase` has use for and that are off.
    pub fn off_in(self, phase: Phase) -> Vec<&'static str> {
        let wanted = phase >= Phase::RustBasicWrite;
        Self::NAMES.into_iter().filter(|name| wanted && self.get(name) == Some(false)).collect()
    }
}

impl Default for Migration {
    fn default() -> Self {
        Self {
            phase: Phase::PerlOnly,
            fallback_enabled: true,
            perl_api_base_url: "https://127.0.0.1:8006".to_owned(),
            perl_api_timeout: 30,
            features: Features::default(),
            log_migration_decisions: true,
            nodes: BTreeMap::new(),
            canary_order: Vec::new(),
            canary_prometheus: None,
            change_window: None,
        }
    }
}

impl Migration {
    /// Understands a text; `file` is for messages.
    ///
    /// # Errors
    /// Not TOML, an unknown key, a value of the wrong type or out of range: named with file, line
    /// and what is allowed.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let source = Source::parse(file, text)?;
        let mut out = Self::default();
        for field in source.top(&KEYS)? {
            match field.key.get() {
                "phase" => out.phase = phase(&source, &field)?,
                "fallback_enabled" => out.fallback_enabled = source.boolean(&field)?,
                "perl_api_base_url" => out.perl_api_base_url = base_url(&source, &field)?,
                "perl_api_timeout" => {
                    let seconds = source.integer(&field, 1..=MAX_TIMEOUT.into())?;
                    out.perl_api_timeout = u16::try_from(seconds).unwrap_or(MAX_TIMEOUT);
                }
                "features" => out.features = features(&source, &field)?,
                "log_migration_decisions" => out.log_migration_decisions = source.boolean(&field)?,
                "nodes" => out.nodes = nodes(&source, &field)?,
                _ => canary(&source, &field, &mut out)?,
            }
        }
        Ok(out)
    }

    /// What the cluster wants of a node: its own phase, or else everyone's.
    pub fn node_phase(&self, node: &str) -> Phase {
        self.nodes.get(node).copied().unwrap_or(self.phase)
    }
}

/// Reads the file; `None` if there is none.
///
/// # Errors
/// It can't be read, is not a plain file of at most [`MAX_SIZE`] bytes of UTF-8, or
/// [`Migration::parse`] refuses it.
pub fn read_migration(path: &Path) -> Result<Option<Migration>> {
    let Some(bytes) = files::read_plain(path, MAX_SIZE)? else { return Ok(None) };
    parse_bytes(&bytes, &path.display().to_string()).map(Some)
}

/// Understands the bytes of a file; `file` is for messages.
///
/// # Errors
/// They are not UTF-8, or [`Migration::parse`] refuses them.
pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Migration> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        Error::new(format!("{file}:{line}: not UTF-8"))
    })?;
    Migration::parse(text, file)
}

/// The line, from 1, on which each setting of a text stands, by its key (`nodes.pve1.phase`).
///
/// # Errors
/// The text is no TOML.
pub fn lines(text: &str, file: &str) -> Result<BTreeMap<String, usize>> {
    Ok(Source::parse(file, text)?.lines())
}

fn phase(source: &Source<'_>, field: &Field<'_>) -> Result<Phase> {
    let name = source.string(field, Phase::names())?;
    Phase::from_name(name).ok_or_else(|| source.wrong(field, Phase::names()))
}

fn features(source: &Source<'_>, field: &Field<'_>) -> Result<Features> {
    let mut out = Features::default();
    for feature in source.table(field, Some(&Features::NAMES))? {
        let on = source.boolean(&feature)?;
        match feature.key.get() {
            "rust_cli" => out.rust_cli = on,
            _ => out.rust_daemon = on,
        }
    }
    Ok(out)
}

fn nodes(source: &Source<'_>, field: &Field<'_>) -> Result<BTreeMap<String, Phase>> {
    let mut out = BTreeMap::new();
    for node in source.table(field, None)? {
        let name = node.key.get();
        if !is_node_name(name) {
            return Err(source.error(&node, format!("'{name}' is no node name (allowed: {NODE_NAME})")));
        }
        for entry in source.table(&node, Some(&["phase"]))? {
            out.insert(name.to_owned(), phase(source, &entry)?);
        }
    }
    Ok(out)
}

fn canary(source: &Source<'_>, field: &Field<'_>, out: &mut Migration) -> Result<()> {
    for entry in source.table(field, Some(&["order", "prometheus", "change_window"]))? {
        match entry.key.get() {
            "order" => out.canary_order = canary_order(source, &entry)?,
            "prometheus" => {
                let allowed = "http[s]://HOST[:PORT][/PATH]";
                let url = source.string(&entry, allowed)?;
                if !is_url(url) {
                    return Err(source.wrong(&entry, allowed));
                }
                out.canary_prometheus = Some(url.to_owned());
            }
            _ => {
                let text = source.string(&entry, ChangeWindow::ALLOWED)?;
                let window = ChangeWindow::parse(text);
                out.change_window = Some(window.ok_or_else(|| source.wrong(&entry, ChangeWindow::ALLOWED))?);
            }
        }
    }
    Ok(())
}

fn canary_order(source: &Source<'_>, entry: &Field<'_>) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for name in source.strings(entry, "a list of node names")? {
        if !is_node_name(name) || out.iter().any(|known| known == name) {
            return Err(source.wrong(entry, format!("node names, each once; a name is {NODE_NAME}")));
        }
        out.push(name.to_owned());
    }
    Ok(out)
}

/// What [`is_node_name`] accepts, in words.
pub(crate) const NODE_NAME: &str = "letters, digits and inner hyphens, at most 63";

/// Proxmox's `pve-node` format: one label of a host name.
pub(crate) fn is_node_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    name.len() <= 63 && name.bytes().all(inner) && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-')
}

fn base_url(source: &Source<'_>, field: &Field<'_>) -> Result<String> {
    let allowed = "https://HOST[:PORT][/PATH], or http:// on loopback";
    let url = source.string(field, allowed)?;
    if is_base_url(url) { Ok(url.to_owned()) } else { Err(source.wrong(field, allowed)) }
}

/// Requests carry tickets and tokens: in the clear on loopback only, and never as part of the URL.
fn is_base_url(url: &str) -> bool {
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.split(':').next().unwrap_or_default(),
    };
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    is_url(url) && (url.starts_with("https://") || loopback)
}

/// http or https, a host, perhaps a port and a path; nothing secret and nothing to be asked.
fn is_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, rest)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => (v6, rest),
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let good_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
    let digits = |p: &str| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok_and(|p| p > 0);
    let good_port = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    let good_path = rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"".contains(&b));
    good_host && good_port && good_path && matches!(scheme, "http" | "https")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
