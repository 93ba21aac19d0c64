//! A folder that stands for a node, and the real program run on it.

#![allow(dead_code, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use history::journal::Backend;
use history::{Operation, Store};
use host::{Clock, Root};
use serde_json::Value;

pub mod schema;
mod tidy;

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

/// The node.
pub struct Node {
    dir: tempfile::TempDir,
    pub root: Root,
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
    line: String,
}

impl Node {
    /// A folder with nothing in it.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        Self { dir, root: Root::at(root) }
    }

    /// A node by name, with what a phase needs.
    pub fn new(name: &str) -> Self {
        Self::empty()
            .with("/etc/hostname", &format!("{name}\n"))
            .with(&format!("/etc/pve/nodes/{name}/x"), "")
            .with(&format!("{STATE}/lock"), "")
    }

    /// As after an install, with one snapshot.
    pub fn installed() -> Self {
        let node = Self::bare();
        node.ctl(&["snapshot", "take", "--reason", "preinst install"]).ok();
        node
    }

    /// The same without a snapshot.
    pub fn bare() -> Self {
        Self::empty()
            .with("/etc/hostname", "pve1\n")
            .with("/etc/network/interfaces", INTERFACES)
            .with("/etc/network/interfaces.d/admin", "# by the admin\n")
            .with("/etc/pve/sdn/zones.cfg", "simple: lab\n")
            .with("/etc/pve/sdn/dns.cfg", "powerdns: p\n\tkey s3cret\n\turl http://192.0.2.3\n")
            .with("/etc/pve/storage.cfg", "dir: local\n")
            .with("/etc/pve/network/migration.toml", "phase = \"perl-only\"\n")
            .with("/var/lib/dpkg/status", "Package: pve-network-rs\nStatus: install ok installed\nVersion: 0.1.0-1\n")
            .with(&format!("{STATE}/ceiling"), "perl-only\n")
            .with(&format!("{STATE}/operations.jsonl"), "")
            .with(&format!("{STATE}/lock"), "")
    }

    pub fn with(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        self
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
        set_mode(&path, mode);
    }

    /// A file of the operator's own, beside the node's root.
    pub fn outside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).unwrap()
    }

    pub fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub fn ls(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    pub fn folder(&self, path: &str) {
        fs::create_dir(self.path(path)).unwrap();
    }

    pub fn store(&self) -> Store {
        ctl::policy().unwrap().store(&self.root, Clock::System)
    }

    /// Writes as pvenet does, and returns the operation's id.
    pub fn rust_writes(&self, path: &str, content: Option<&str>) -> String {
        let store = self.store();
        let mut operation = Operation::begin(&store, Backend::Rust, "pvenet", "rust-basic-write").unwrap();
        operation.stage(path, content.map(|c| c.as_bytes().to_vec())).unwrap();
        operation.commit().unwrap().unwrap()
    }

    /// The program, ready to run: in the node's root, and with no more of an environment than it is given.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migration-ctl"));
        command.arg("--root").arg(self.path("/")).args(arguments).current_dir(self.path("/"));
        command.env_clear().envs([("NO_COLOR", "1"), ("USER", "root"), ("COLUMNS", "80")]);
        command
    }

    pub fn ctl(&self, arguments: &[&str]) -> Said {
        self.said(&mut self.command(arguments))
    }

    pub fn ctl_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        self.said(self.command(arguments).envs(environment.iter().copied()))
    }

    /// As somebody who may not read `path`: as nobody where the test is root, whom no mode stops.
    pub fn ctl_as_nobody(&self, path: &str, arguments: &[&str]) -> Said {
        set_mode(self.dir.path(), 0o755);
        let program = self.dir.path().join("migration-ctl");
        // By a process of its own: what we hold open for writing while another test forks can't be run for a moment.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_migration-ctl")).arg(&program).status();
        assert!(copied.unwrap().success());
        set_mode(&self.path(path), 0);
        let mut command = match fs::metadata("/proc/self").unwrap().uid() {
            0 => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
                command
            }
            _ => Command::new(&program),
        };
        command.arg("--root").arg(self.path("/")).args(arguments);
        self.said(&mut command)
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.ctl(arguments).ok().json()
    }

    fn said(&self, command: &mut Command) -> Said {
        let line = format!("{command:?}");
        let done = command.output().unwrap();
        let here = self.path("/").display().to_string();
        let here = here.trim_end_matches('/');
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(here, "");
        let code = done.status.code().unwrap_or_else(|| panic!("{line}: {}", done.status));
        Said { code, out: text(&done.stdout), err: text(&done.stderr), line }
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

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

impl Said {
    #[track_caller]
    fn must(self, right: bool, what: &str) -> Self {
        assert!(right, "{}: {what}\nexit {}\n{}\n{}", self.line, self.code, self.out, self.err);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        let right = self.code == code;
        let said = self.must(right, &format!("wanted exit {code}"));
        // Whatever happens, it is said in lines, by us.
        let ours = !said.err.contains("panicked") && !said.err.contains("RUST_BACKTRACE");
        said.must(ours, "it panicked")
    }

    /// On either stream.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let right = self.err.contains(text) || self.out.contains(text);
        self.must(right, &format!("does not say {text:?}"))
    }

    #[track_caller]
    pub fn stdout_is(self, text: &str) -> Self {
        let right = self.out == text;
        self.must(right, &format!("does not print {text:?}"))
    }

    /// This on standard output, and nothing else anywhere.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        self.stdout_is(text).quiet()
    }

    /// Nothing on standard error.
    #[track_caller]
    pub fn quiet(self) -> Self {
        let right = self.err.is_empty();
        self.must(right, "is not quiet")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// Output and exit code as a snapshot test keeps them.
    pub fn shown(&self) -> String {
        tidy::tidy(&format!("{}--- stderr\n{}--- exit {}", self.out, self.err, self.code))
    }
}
