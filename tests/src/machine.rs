//! What a test can do on a machine, be it a [`crate::Node`] or a [`crate::Chrootless`].

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use host::Root;

use crate::call::{Call, Listing, Output};
use crate::{Deb, Tree};

/// A throw-away machine. Paths are the machine's own, absolute ones.
pub trait Machine: Sized {
    /// Runs `work` with the machine's root. On a node that root is `/`, since `work` runs in it.
    fn inside<T: Send + 'static>(&self, work: impl FnOnce(&Root) -> T + Send + 'static) -> T;

    /// Where the host sees `path`, for reading and for programs of the host. Absolute links inside
    /// would lead out of the machine: to write, use [`Machine::write`].
    fn path(&self, path: impl AsRef<Path>) -> PathBuf;

    /// How a package file at `path` is named on the machine's `dpkg` command line.
    fn argument(&self, path: &str) -> OsString;

    /// A command with the machine's environment, not yet started.
    fn prepare(&self, argv: &[OsString]) -> Command;

    /// Starts a prepared command on the machine.
    fn spawn(&self, command: Command) -> std::io::Result<Child>;

    /// Lists what has changed since the machine was made, for the report of a failed test.
    fn listing(&self) -> Listing;

    /// What to call the machine in messages.
    fn describe(&self) -> String;

    /// Numeric owner of what a test writes, where that is not the one who runs the test.
    fn owner(&self) -> Option<u32> {
        None
    }

    /// A command to be refined (`.env`, `.stdin`, `.patience`) and run.
    fn call<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Call<'_, Self> {
        Call::new(self, argv)
    }

    /// Runs a command to its end.
    fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Output {
        self.call(argv).run()
    }

    /// Runs a shell script that stops at its first failure.
    fn sh(&self, script: &str) -> Output {
        self.run(["sh", "-euc", script])
    }

    /// Copies the package onto the machine and installs it with `dpkg -i`.
    fn install(&self, deb: &Deb) -> Output {
        let path = format!("/root/{}", deb.file_name());
        self.put_file(deb.path(), &path);
        let file = self.argument(&path);
        self.run(["dpkg".as_ref(), "-i".as_ref(), file.as_os_str()])
    }

    /// dpkg's short word for the state of a package: `ii`, `iF`, `rc`, …; `un` if unknown.
    fn state_of(&self, package: &str) -> String {
        let answer = self.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package]);
        match answer.stdout.trim() {
            "" => "un".to_owned(),
            word => word.to_owned(),
        }
    }

    /// Writes a file, folders above it included.
    #[track_caller]
    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let (inside, bytes, owner) = (PathBuf::from(path), bytes.as_ref().to_vec(), self.owner());
        let wrote = self.inside(move |root| {
            let at = follow(root, &inside)?;
            if let Some(dir) = at.parent() {
                make_dirs(dir, owner)?;
            }
            fs::write(&at, bytes)?;
            std::os::unix::fs::lchown(&at, owner, owner)
        });
        must(wrote, "write", path);
    }

    /// Writes an executable file, folders above it included.
    #[track_caller]
    fn write_program(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.write(path, bytes);
        self.chmod(path, 0o755);
    }

    /// Sets the mode of a file.
    #[track_caller]
    fn chmod(&self, path: &str, mode: u32) {
        let inside = PathBuf::from(path);
        let set = self.inside(move |root| fs::set_permissions(follow(root, &inside)?, PermissionsExt::from_mode(mode)));
        must(set, "chmod", path);
    }

    /// Makes a directory and those above it.
    #[track_caller]
    fn mkdir(&self, path: &str) {
        let (inside, owner) = (PathBuf::from(path), self.owner());
        must(self.inside(move |root| make_dirs(&follow(root, &inside)?, owner)), "make", path);
    }

    /// Copies a file of the host onto the machine.
    #[track_caller]
    fn put_file(&self, from: &Path, to: &str) {
        let bytes = must(fs::read(from), "read", &from.display().to_string());
        self.write(to, bytes);
    }

    /// What a file holds.
    #[track_caller]
    fn read(&self, path: &str) -> Vec<u8> {
        let inside = PathBuf::from(path);
        must(self.inside(move |root| fs::read(follow(root, &inside)?)), "read", path)
    }

    /// What a text file holds.
    #[track_caller]
    fn text(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.read(path)).into_owned()
    }

    /// Whether there is anything of that name, a dangling link included.
    fn exists(&self, path: &str) -> bool {
        let inside = PathBuf::from(path);
        self.inside(move |root| root.resolve(&inside).is_ok_and(|at| fs::symlink_metadata(at).is_ok()))
    }

    /// The names in a directory, sorted; nothing if there is no such directory.
    fn ls(&self, path: &str) -> Vec<String> {
        let inside = PathBuf::from(path);
        let mut names: Vec<String> = self.inside(move |root| {
            let entries = follow(root, &inside).and_then(fs::read_dir).into_iter().flatten();
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        });
        names.sort();
        names
    }

    /// Removes a file, a link or a directory with all that is in it.
    #[track_caller]
    fn remove(&self, path: &str) {
        let inside = PathBuf::from(path);
        let removed = self.inside(move |root| {
            let at = root.resolve(&inside).map_err(std::io::Error::other)?;
            if fs::symlink_metadata(&at)?.is_dir() { fs::remove_dir_all(at) } else { fs::remove_file(at) }
        });
        must(removed, "remove", path);
    }

    /// Everything on the machine's disk, to be compared with another time's.
    fn tree(&self) -> Tree {
        self.inside(|root| Tree::of(root.base(), Path::new("/")))
    }

    /// Everything below one directory: much quicker than to compare the whole disk.
    fn tree_below(&self, dir: &str) -> Tree {
        let dir = PathBuf::from(dir);
        self.inside(move |root| Tree::of(root.base(), &dir))
    }
}

/// Like the kernel in a chroot: links in the last component are followed, and stay inside.
fn follow(root: &Root, path: &Path) -> std::io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        let at = root.resolve(&path).map_err(std::io::Error::other)?;
        let Ok(target) = fs::read_link(&at) else { return Ok(at) };
        path = root.inside(&at).parent().unwrap_or(Path::new("/")).join(target);
    }
    Err(std::io::Error::other("too many levels of symbolic links"))
}

fn make_dirs(dir: &Path, owner: Option<u32>) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_dirs(above, owner)?;
    }
    fs::create_dir(dir)?;
    std::os::unix::fs::lchown(dir, owner, owner)
}

#[track_caller]
fn must<T>(result: std::io::Result<T>, doing: &str, path: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("cannot {doing} {path}: {error}"),
    }
}
