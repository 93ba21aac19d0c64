//! The base roots: a minimal Debian with systemd, dbus and apt, one directory for each suite.
//!
//! `mmdebstrap` makes them once, from its default mirror, into a folder that the caller names;
//! machines mount them read-only. A list of packages lies beside each root, so that a root made for
//! an older list is made anew.

use std::fs::{self, File};
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

/// The directory below `home` that holds a pristine root of this suite with these Debian packages
/// besides the usual ones, for what can't be installed without a network; made now if it is not
/// there yet. Never write into it: every machine stands on it.
pub fn base(home: &Path, suite: Suite, packages: &[&str]) -> Result<PathBuf> {
    let name = [&[suite.name()], packages].concat().join("+");
    let recipe = Recipe { suite, include: [&[INCLUDE], packages].concat().join(",") };
    let root = home.join(&name);
    if recipe.made(&root) {
        return Ok(root);
    }
    fs::create_dir_all(home).doing(|| format!("cannot make {}", home.display()))?;
    // One lock for all suites: mmdebstrap is bound by the network and by dpkg, two at once gain little.
    let lock = home.join(".lock");
    let lock = File::create(&lock).doing(|| format!("cannot open {}", lock.display()))?;
    flock(&lock, FlockOperation::LockExclusive).doing(|| format!("cannot lock {}", home.display()))?;
    if !recipe.made(&root) {
        recipe.make(&root)?;
    }
    Ok(root)
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
        // In a mount namespace of its own: what it mounts in the root, and can't unmount when it is
        // killed or somebody looks in there, must not stay mounted on this machine.
        // Where `/` is no mount, as in a plain chroot, it can't be made private, nor need it be.
        let mut mmdebstrap = Command::new("unshare");
        mmdebstrap.args(["--mount", "--propagation=unchanged", "sh", "-c"]);
        mmdebstrap.args(["mount --make-rprivate / 2>/dev/null || true; exec \"$@\"", "sh", "mmdebstrap"]);
        mmdebstrap.args(["--quiet", "--mode=root", "--format=directory", "--variant=minbase"]);
        mmdebstrap.arg(format!("--include={}", self.include)).arg(self.suite.name()).arg(&fresh);
        if usable(Path::new("/dev/shm")) {
            mmdebstrap.env("TMPDIR", "/dev/shm");
        }
        let made = mmdebstrap.stdin(Stdio::null()).output().doing(|| "cannot run unshare (package util-linux)")?;
        // What a shell says of a command that is not there (POSIX, 2.8.2).
        if made.status.code() == Some(127) {
            return Err(Error::new(format!("cannot make {}: mmdebstrap is not installed", root.display()))
                .way_out("apt-get install mmdebstrap"));
        }
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
