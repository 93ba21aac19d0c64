//! The base roots: a minimal Debian with systemd, dbus and apt, one directory for each suite.
//!
//! `mmdebstrap` makes them once, from its default mirror, into `$DEBROOTS` or `target/roots`;
//! nodes mount them read-only. A list of packages lies beside each root, so that a root made for
//! an older list is made anew.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use host::{Error, IoContext, Result};
use rustix::fs::{FlockOperation, flock};

/// What a root holds beyond `minbase`:
/// systemd and dbus to boot; gpgv because apt of bookworm and packages that verify by shell call it
/// (trixie has only sqv); attr to look at extended attributes; rsync because operators and the bash
/// packages we are measured against back up with it.
const INCLUDE: &str = "systemd,systemd-sysv,dbus,init-system-helpers,gpgv,attr,rsync";

/// A Debian release that nodes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// Debian 12, the base of Proxmox VE 8.
    Bookworm,
    /// Debian 13, the base of Proxmox VE 9.
    Trixie,
}

impl Suite {
    /// Every suite that tests run on.
    pub const ALL: [Suite; 2] = [Suite::Bookworm, Suite::Trixie];

    /// The release's name as archives spell it.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
        }
    }
}

/// Whether this test may make machines. If not, says so on stderr, and the test should return.
#[must_use = "a test that needs root has to return when there is none"]
pub fn need_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("needs root for mounts and namespaces");
    }
    root
}

/// Says on stderr that the calling test is skipped, and why.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("this test");
    // Not by eprintln, whose text the test harness keeps to itself when a test passes; in one
    // piece, since other tests write at the same time.
    let message = format!("skipped: {why}: {test}\n");
    // With no stderr there is nobody to tell.
    let _ = std::io::stderr().write_all(message.as_bytes());
}

/// The directory that holds a pristine root of this suite; made now if it is not there yet.
/// Never write into it: every node stands on it.
pub fn base(suite: Suite) -> Result<PathBuf> {
    base_with(suite, &[])
}

/// The same with more Debian packages in it, for what can't be installed without a network.
pub fn base_with(suite: Suite, packages: &[&str]) -> Result<PathBuf> {
    let home = home();
    let name = [&[suite.name()], packages].concat().join("+");
    let recipe = Recipe { suite, include: [&[INCLUDE], packages].concat().join(",") };
    let root = home.join(&name);
    if recipe.made(&root) {
        return Ok(root);
    }
    fs::create_dir_all(&home).doing(|| format!("cannot make {}", home.display()))?;
    // One lock for all suites: mmdebstrap is bound by the network and by dpkg, two at once gain little.
    let lock = home.join(".lock");
    let lock = File::create(&lock).doing(|| format!("cannot open {}", lock.display()))?;
    flock(&lock, FlockOperation::LockExclusive).doing(|| format!("cannot lock {}", home.display()))?;
    if !recipe.made(&root) {
        recipe.make(&root)?;
    }
    Ok(root)
}

/// `$DEBROOTS`, or `roots` in the workspace's target directory.
fn home() -> PathBuf {
    match std::env::var_os("DEBROOTS") {
        Some(dir) if !dir.is_empty() => dir.into(),
        _ => crate::dist::target_dir().join("roots"),
    }
}

/// A path beside the root. Not `with_extension`: a package's name may hold a dot.
fn beside(root: &Path, what: &str) -> PathBuf {
    let mut path = root.as_os_str().to_owned();
    path.push(what);
    path.into()
}

/// What a root is made of.
struct Recipe {
    suite: Suite,
    include: String,
}

impl Recipe {
    fn text(&self) -> String {
        format!("{} minbase {}\n", self.suite.name(), self.include)
    }

    /// Whether the root is there and made by this recipe; one without a recipe was put there by
    /// somebody who knows what they do.
    fn made(&self, root: &Path) -> bool {
        let recipe = fs::read_to_string(beside(root, ".recipe"));
        root.join("usr/bin/dpkg").exists() && recipe.map_or(true, |text| text == self.text())
    }

    /// Makes it beside, then renames: a root that is there is complete.
    fn make(&self, root: &Path) -> Result<()> {
        let fresh = beside(root, ".new");
        let recipe = beside(root, ".recipe");
        if root.exists() && !recipe.exists() {
            return Err(Error::new(format!("{} is no Debian root; it is not ours to remove", root.display())));
        }
        for stale in [&fresh, root] {
            if stale.exists() {
                fs::remove_dir_all(stale).doing(|| format!("cannot remove {}", stale.display()))?;
            }
        }
        eprintln!("making {} (once, about half a minute)", root.display());
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--mode=root", "--format=directory", "--variant=minbase"]);
        mmdebstrap.arg(format!("--include={}", self.include)).arg(self.suite.name()).arg(&fresh);
        if usable(Path::new("/dev/shm")) {
            mmdebstrap.env("TMPDIR", "/dev/shm");
        }
        let made =
            mmdebstrap.stdin(Stdio::null()).output().doing(|| "cannot run mmdebstrap (make deps-test installs it)")?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(Error::new(format!("cannot make {}: mmdebstrap: {}", root.display(), said.trim())));
        }
        fs::write(&recipe, self.text()).doing(|| format!("cannot write {}", recipe.display()))?;
        fs::rename(&fresh, root).doing(|| format!("cannot rename {}", fresh.display()))
    }
}

fn usable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Runs a host program of the rig's own, which has to succeed; its stdout.
pub(crate) fn host_tool<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    finish(&mut command)
}

/// Runs a prepared host program, which has to succeed; its stdout.
pub(crate) fn finish(command: &mut Command) -> Vec<u8> {
    match command.output() {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => panic!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cannot run {command:?}: {error} (make deps-test installs what is missing)"),
    }
}
