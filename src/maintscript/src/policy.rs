//! `hooks.toml`: what a package asks of its maintainer scripts. It is checked when the package is
//! sealed and carried by each script, so that all of it can be audited in one file.
//!
//! docs/hooks-toml.md describes every key. An unknown key is an error: a typing mistake must not
//! silently capture less.

use std::path::{Path, PathBuf};

use history::{Item, Policy as Restore, Scope, Store, Use};
use host::{Clock, Error, Result, Root};
use phase::Switch;
use serde::Deserialize;

/// What `hooks.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Version of this format.
    pub format: u64,
    /// The package's name.
    pub package: String,
    /// The package's state folder, below `/var/lib`.
    pub state: PathBuf,
    /// The package's log folder, below `/var/log`, removed by purge.
    pub log: Option<PathBuf>,
    /// How far a removal goes back, unless the admin says otherwise.
    #[serde(default)]
    pub restore: Restore,
    /// Units that are installed disabled and stopped.
    #[serde(default)]
    pub units: Vec<String>,
    /// How many snapshots are kept.
    #[serde(default = "keep")]
    pub keep: usize,
    /// How many accepted snapshots are kept besides.
    #[serde(default = "keep_accepted")]
    pub keep_accepted: usize,
    /// The phase switch, if the package has one.
    pub phase: Option<PhaseFile>,
    /// What is captured.
    #[serde(default)]
    pub capture: Vec<CaptureItem>,
}

/// The phase file and its safe value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseFile {
    /// The cluster-wide file, below `/etc`.
    pub file: PathBuf,
    /// The phase that a first install, a failure and a removal set.
    pub safe: String,
    /// A file of the package that becomes the phase file of a first install.
    pub template: Option<PathBuf>,
}

/// One `[[capture]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureItem {
    /// An absolute path; its last component may have a `*`.
    pub path: String,
    /// Its name in a snapshot; the last component (for a pattern: the folder's) if not given.
    pub name: Option<String>,
    /// Whose it is.
    pub scope: Scope,
    /// What it is for.
    #[serde(rename = "use")]
    pub usage: Use,
}

const fn keep() -> usize {
    20
}

const fn keep_accepted() -> usize {
    5
}

impl Policy {
    /// Reads and checks the text of a `hooks.toml`.
    pub fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml_edit::de::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Error::new(format!("hooks.toml:{line}: {}", e.message().replace('\n', " ")))
        })?;
        policy.check().map_err(|e| e.context("hooks.toml"))?;
        Ok(policy)
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::new(what));
        if self.format != 1 {
            return wrong(format!("format {} is not known; this version reads format 1", self.format));
        }
        if !seal::control::is_package_name(&self.package) {
            return wrong(format!("package {:?} is no package name (Debian Policy 5.6.1)", self.package));
        }
        below("state", &self.state, "/var/lib")?;
        if let Some(log) = &self.log {
            below("log", log, "/var/log")?;
        }
        for unit in &self.units {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
            let kinds = [".service", ".socket", ".timer", ".path", ".target"];
            if !unit.bytes().all(plain) || !kinds.iter().any(|k| unit.len() > k.len() && unit.ends_with(k)) {
                return wrong(format!("unit {unit:?} is no unit name (systemd.unit(5)), such as demo.service"));
            }
        }
        if self.keep < 2 {
            return wrong(format!("keep = {} is too few; a removal needs the last backup and its own", self.keep));
        }
        if let Some(phase) = &self.phase {
            below("phase.file", &phase.file, "/etc")?;
            if phase::Phase::from_name(&phase.safe).is_none() {
                return wrong(format!("phase.safe {:?} is no phase (allowed: {})", phase.safe, phase::Phase::names()));
            }
            if let Some(template) = &phase.template {
                below("phase.template", template, "/usr")?;
            }
        }
        self.check_captures()
    }

    fn check_captures(&self) -> Result<()> {
        let items = self.items();
        for (position, item) in items.iter().enumerate() {
            let wrong = |what: &str| Err(Error::new(format!("capture {:?}: {what}", item.path)));
            let path = Path::new(&item.path);
            let folder = item.pattern().map_or(path, |(folder, _)| folder);
            if item.path.contains(char::is_control) || item.name.contains(char::is_control) {
                return wrong("a path or name holds a control character");
            }
            if !path.is_absolute() || item.path.split('/').any(|part| part == ".." || part == ".") {
                return wrong("it must be an absolute path without . and ..");
            }
            if folder.as_os_str().as_encoded_bytes().contains(&b'*') || folder.components().count() < 3 {
                return wrong("it must be at least two folders deep, with a * in its last component only");
            }
            if path.starts_with(&self.state) || path.starts_with("/var/backups") {
                return wrong("snapshots are not captured in snapshots");
            }
            let cluster = path.starts_with(host::cluster::MOUNT);
            if cluster != (item.scope == Scope::Cluster) {
                return wrong("scope = \"cluster\" is for what lies below /etc/pve, and only for that");
            }
            let name = Path::new(&item.name);
            let plain = name.components().all(|c| matches!(c, std::path::Component::Normal(_)));
            if item.name.is_empty() || !plain || name.starts_with(history::snapshot::MANIFEST) {
                return wrong("its name in a snapshot must be a relative path other than manifest.json");
            }
            if let Some(other) = items[..position].iter().find(|o| o.name == item.name || o.path == item.path) {
                return wrong(&format!("{} has the same path or name", other.path));
            }
        }
        Ok(())
    }

    /// The list of what is captured.
    pub fn items(&self) -> Vec<Item> {
        let item = |c: &CaptureItem| Item {
            path: c.path.clone(),
            name: c.name.clone().unwrap_or_else(|| Item::usual_name(&c.path)),
            scope: c.scope,
            usage: c.usage,
        };
        self.capture.iter().map(item).collect()
    }

    /// The package's history under `root`.
    pub fn store(&self, root: &Root, clock: Clock) -> Store {
        Store {
            root: root.clone(),
            package: self.package.clone(),
            state: self.state.clone(),
            items: self.items(),
            node: host::node_name(root),
            keep: self.keep,
            keep_accepted: self.keep_accepted,
            clock,
        }
    }

    /// The package's phase switch under `root`, with its safe phase.
    pub fn switch(&self, root: &Root) -> Option<(Switch, phase::Phase)> {
        let file = self.phase.as_ref()?;
        let safe = phase::Phase::from_name(&file.safe)?;
        let switch = Switch {
            root: root.clone(),
            node: host::node_name(root),
            migration: file.file.clone(),
            ceiling: self.state.join("ceiling"),
        };
        Some((switch, safe))
    }
}

fn below(key: &str, path: &Path, folder: &str) -> Result<()> {
    let plain = path.components().skip(1).all(|c| matches!(c, std::path::Component::Normal(_)));
    let plain = plain && !path.as_os_str().as_encoded_bytes().iter().any(u8::is_ascii_control);
    if plain && path.starts_with(folder) && path != Path::new(folder) {
        return Ok(());
    }
    Err(Error::new(format!("{key} = {:?} must be a path below {folder}", path.display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
format = 1
package = "demo"
state = "/var/lib/demo"
units = ["demo.service"]
[phase]
file = "/etc/demo/phase.toml"
safe = "perl-only"
[[capture]]
path = "/etc/demo/*.conf"
scope = "node"
use = "restore"
"#;

    #[test]
    fn a_good_one_is_read() {
        let policy = Policy::parse(GOOD).unwrap();
        assert_eq!(policy.items()[0].name, "demo");
        assert_eq!(policy.restore, Restore::Accepted);
        assert_eq!((policy.keep, policy.keep_accepted), (20, 5));
    }

    #[test]
    fn a_bad_one_is_refused_with_its_place() {
        for (from, to, said) in [
            ("format = 1", "format = 2", "format 2"),
            ("units =", "unit =", "hooks.toml:5"),
            ("\"demo\"", "\"De mo\"", "no package name"),
            ("/var/lib/demo", "/var/lib/../x", "below /var/lib"),
            ("/var/lib/demo", "/var/lib", "below /var/lib"),
            ("demo.service", "demo", "unit name"),
            ("demo.service", "a/../b.service", "unit name"),
            ("perl-only", "nothing", "allowed: perl-only"),
            ("/etc/demo/*.conf", "/etc/*", "two folders deep"),
            ("/etc/demo/*.conf", "/e*/demo/x", "last component"),
            ("/etc/demo/*.conf", "/etc/demo/../x", "without . and .."),
            ("/etc/demo/*.conf", "/etc/pve/x.cfg", "scope"),
            ("/etc/demo/*.conf", "/var/lib/demo/x", "not captured"),
            ("use = \"restore\"", "use = \"restore\"\nname = \"manifest.json\"", "manifest.json"),
            ("use = \"restore\"", "use = \"restore\"\nname = \"../x\"", "relative path"),
            ("use = \"restore\"", "use = \"keep\"", "hooks.toml:12"),
        ] {
            let text = GOOD.replace(from, to);
            let error = Policy::parse(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{to}: {error}");
        }
    }
}
