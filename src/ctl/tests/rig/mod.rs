//! A folder that stands for a node, and the real program run on it.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

pub mod schema;

/// The node.
pub struct Node {
    dir: tempfile::TempDir,
}

/// What the program said.
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    code: Option<i32>,
    line: String,
}

impl Node {
    pub fn new(name: &str) -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        node.put("/etc/hostname", format!("{name}\n").as_bytes());
        node.put(&format!("/etc/pve/nodes/{name}/x"), b"");
        node.put("/var/lib/pve-network-rs/lock", b"");
        node
    }

    pub fn with(self, path: &str, content: &str) -> Self {
        self.put(path, content.as_bytes());
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path.trim_start_matches('/'))
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A file of the operator's own, beside the node's root.
    pub fn outside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn read(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).unwrap()
    }

    pub fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
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

    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_migration-ctl"));
        command.arg("--root").arg(self.dir.path().join("root")).args(arguments);
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        Output::of(&mut self.command(arguments))
    }

    /// As somebody who may not read `path`: as nobody where the test is root, whom no mode stops.
    pub fn run_as_nobody<S: AsRef<OsStr>>(&self, path: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        let mode = |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(self.dir.path(), 0o755);
        let program = self.dir.path().join("migration-ctl");
        // By a process of its own: what we hold open for writing while another test forks can't be run for a moment.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_migration-ctl")).arg(&program).status();
        assert!(copied.unwrap().success());
        mode(&self.path(path), 0);
        let mut command = match fs::metadata("/proc/self").unwrap().uid() {
            0 => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&program);
                command
            }
            _ => Command::new(&program),
        };
        command.arg("--root").arg(self.dir.path().join("root")).args(arguments);
        Output::of(&mut command)
    }

    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        serde_json::from_str(&self.run(arguments).ok().stdout).unwrap()
    }
}

impl Output {
    fn of(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let out = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { stdout: text(out.stdout), stderr: text(out.stderr), code: out.status.code(), line }
    }

    #[track_caller]
    fn must(self, right: bool, what: &str) -> Self {
        assert!(right, "{}: {what}\nexit {:?}\n{}\n{}", self.line, self.code, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        let right = self.code == Some(code);
        self.must(right, &format!("wanted exit {code}"))
    }

    /// On standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let right = self.stderr.contains(text);
        self.must(right, &format!("does not say {text:?}"))
    }

    #[track_caller]
    pub fn stdout_is(self, text: &str) -> Self {
        let right = self.stdout == text;
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
        let right = self.stderr.is_empty();
        self.must(right, "is not quiet")
    }
}
