//! A throw-away root, and the real `migration-ctl` working below it.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use history::journal::Backend;
use history::{Operation, Store};
use host::{Clock, Root};

pub const INTERFACES: &str = "\
auto lo
iface lo inet loopback

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tgateway 192.0.2.1
\tbridge-ports eno1
";
pub const STATE: &str = "/var/lib/pve-network-rs";

pub struct Machine {
    dir: tempfile::TempDir,
    pub root: Root,
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        // Whatever happens, it is said in lines, by us.
        assert!(!self.err.contains("panicked") && !self.err.contains("RUST_BACKTRACE"), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text) || self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// Output and exit code as a snapshot test keeps them.
    pub fn shown(&self) -> String {
        tidy(&format!("{}--- stderr\n{}--- exit {}", self.out, self.err, self.code))
    }
}

impl Machine {
    /// As after an install, with one snapshot.
    pub fn new() -> Self {
        let machine = Self::bare();
        machine.ctl(&["snapshot", "take", "--reason", "preinst install"]).ok();
        machine
    }

    /// The same without a snapshot.
    pub fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Self { root: Root::at(dir.path()), dir };
        machine.write("/etc/hostname", "pve1\n");
        machine.write("/etc/network/interfaces", INTERFACES);
        machine.write("/etc/network/interfaces.d/admin", "# by the admin\n");
        machine.write("/etc/pve/sdn/zones.cfg", "simple: lab\n");
        machine.write("/etc/pve/sdn/dns.cfg", "powerdns: p\n\tkey s3cret\n\turl http://192.0.2.3\n");
        machine.write("/etc/pve/storage.cfg", "dir: local\n");
        machine.write("/etc/pve/network/migration.toml", "phase = \"perl-only\"\n");
        machine
            .write("/var/lib/dpkg/status", "Package: pve-network-rs\nStatus: install ok installed\nVersion: 0.1.0-1\n");
        machine.write(&format!("{STATE}/ceiling"), "perl-only\n");
        machine.write(&format!("{STATE}/operations.jsonl"), "");
        machine.write(&format!("{STATE}/lock"), "");
        machine
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        // pmxcfs shows every file as 0640.
        let mode = if path.starts_with("/etc/pve/") { 0o640 } else { 0o644 };
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn store(&self) -> Store {
        ctl::policy().unwrap().store(&self.root, Clock::System)
    }

    /// Writes as pvenet will, and returns the operation's id.
    pub fn rust_writes(&self, path: &str, content: Option<&str>) -> String {
        let store = self.store();
        let mut operation = Operation::begin(&store, Backend::Rust, "pvenet", "rust-basic-write").unwrap();
        operation.stage(path, content.map(|c| c.as_bytes().to_vec())).unwrap();
        operation.commit().unwrap().unwrap()
    }

    pub fn ctl(&self, arguments: &[&str]) -> Said {
        self.ctl_with(arguments, &[])
    }

    pub fn ctl_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let out = Command::new(env!("CARGO_BIN_EXE_migration-ctl"))
            .arg("--root")
            .arg(self.dir.path())
            .args(arguments)
            .env_clear()
            .envs([("NO_COLOR", "1"), ("USER", "root"), ("COLUMNS", "80")])
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let here = self.dir.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&here, "");
        Said { code: out.status.code().unwrap(), out: text(&out.stdout), err: text(&out.stderr) }
    }

    /// The command of a line such as `to undo: migration-ctl rollback --to …`, run.
    pub fn runs_printed(&self, said: &Said, after: &str) -> Said {
        let line = said.err.lines().find_map(|l| l.split_once(after)).unwrap_or_else(|| panic!("{said:#?}")).1;
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[0], "migration-ctl", "{line}");
        self.ctl(&words[1..])
    }

    /// Names of the automatic snapshots.
    pub fn snapshots(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(&format!("{STATE}/backups")))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.starts_with('2'))
            .collect();
        let order =
            |name: &String| (name[..15].to_owned(), name[15..].trim_start_matches('-').parse::<u32>().unwrap_or(1));
        names.sort_by_key(order);
        names
    }

    /// Every file below `/etc`: mode, and content or target.
    pub fn etc(&self) -> BTreeMap<PathBuf, String> {
        let mut out = BTreeMap::new();
        let mut todo = vec![self.path("/etc")];
        while let Some(path) = todo.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let mode = meta.mode() & 0o7777;
            let what = if meta.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
                format!("{mode:o} folder")
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                format!("{mode:o} {:?}", fs::read(&path).unwrap())
            };
            out.insert(path, what);
        }
        out
    }
}

/// Replaces what differs from run to run (snapshot names, operation ids, times) by numbers in the
/// order in which they appear. Their width differs as well, so blanks after them are made two.
pub fn tidy(text: &str) -> String {
    let mut seen: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = stamp(rest);
        if length == 0 {
            let next = rest.chars().next().unwrap();
            out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        let found = rest[..length].to_owned();
        let number = seen.iter().position(|s| *s == found).unwrap_or_else(|| {
            seen.push(found);
            seen.len() - 1
        });
        out.push_str(&format!("<{}>", number + 1));
        rest = &rest[length..];
        if rest.starts_with("  ") {
            out.push_str("  ");
            rest = rest.trim_start_matches(' ');
        }
    }
    out
}

/// The length of a time stamp, snapshot name, operation id, digest, time or duration at the
/// beginning of the text; 0 if there is none.
fn stamp(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let hex = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if hex == 64 {
        return 64;
    }
    let bytes = text.as_bytes();
    if digits(text) == 8 && bytes.get(8) == Some(&b'-') && digits(&text[9..]) == 6 {
        let mut length = 15;
        while bytes.get(length) == Some(&b'-') && digits(&text[length + 1..]) > 0 {
            length += 1 + digits(&text[length + 1..]);
        }
        return length;
    }
    if digits(text) == 4 && bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') && bytes.get(19) == Some(&b'Z')
    {
        return 20;
    }
    if let Some(after) = text.get(digits(text)..)
        && digits(text) > 0
        && after.starts_with(" ms")
    {
        return digits(text);
    }
    if digits(text) == 10 { 10 } else { 0 }
}
