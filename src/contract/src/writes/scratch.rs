//! A mount namespace in which nothing of the node can be changed: its disks are read-only, and over each folder that a write
//! touches lies a copy in memory.
//!
//! ```text
//!   /etc/network          tmpfs, with what was there at the start
//!   /var/lib/PACKAGE      tmpfs: a new history, the highest ceiling
//!   /etc/pve/network      tmpfs: a phase that lets Rust write
//!   /, /etc/…, /var/…     read-only, /etc/pve with them
//! ```
//!
//! Namespaces belong to a thread, so a thread of its own enters and asks, and what it starts is born there. Nothing has to be
//! undone: mounts and copies go when the last process in there does, however it ends. Nobody is asked before all of this is
//! seen to be so.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use host::files::{self, Attributes};
use host::{Error, IoContext, Result};
use network::Node;
use phase::Phase;
use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::UnshareFlags;

use super::tree::Tree;

/// Where the network configuration lies.
pub(crate) const NETWORK: &str = "/etc/network";
/// What statfs(2) calls a tmpfs.
const TMPFS: i64 = 0x0102_1994;
/// Made in a scratch to see that it is none of the node's folders.
const MARK: &str = ".contract-test-scratch";
/// Below these, and `/` itself, everything is made read-only. `/dev`, `/proc`, `/run` and `/sys` hold nothing that lasts, and
/// programs need them.
const DISKS: [&str; 6] = ["/boot", "/etc", "/home", "/root", "/usr", "/var"];
/// Rust may write anything, and is asked to.
const MIGRATION: &str = "phase = \"rust-full\"\nfeatures = { rust_daemon = true }\n";
/// A question that takes longer is given up, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The node's folders that copies are put over.
pub(crate) struct Places {
    node: Node,
    pub network: Tree,
    all: Vec<Place>,
}

/// One of them, as it is outside.
struct Place {
    path: PathBuf,
    /// Opened outside, so that what is done to it is seen whatever lies over it.
    real: OwnedFd,
    id: (u64, u64),
}

impl Places {
    /// Of the node that this program runs on.
    ///
    /// # Errors
    /// One of them is not there, or can't be read.
    pub(crate) fn of(node: Node) -> Result<Self> {
        let phase = node.switch.migration.parent().map(Path::to_owned).unwrap_or_default();
        let state = node.store.state.clone();
        if !node.switch.ceiling.starts_with(&state) {
            return Err(Error::new(format!("{} does not lie in {}", node.switch.ceiling.display(), state.display())));
        }
        let all = [PathBuf::from(NETWORK), state, phase].into_iter().map(Place::at).collect::<Result<_>>()?;
        Ok(Self { network: Tree::read(Path::new(NETWORK))?, node, all })
    }

    /// Where the state folder's copy lies, which nobody else sees.
    pub(crate) fn state(&self) -> &Path {
        &self.node.store.state
    }

    /// Whether the node's own network configuration still is what the copies are made of.
    pub(crate) fn are_as_they_were(&self) -> Result<bool> {
        Ok(Tree::read(Path::new(NETWORK))? == self.network)
    }

    /// Moves the calling thread in. What names the namespace, and keeps it alive.
    fn enter(&self) -> Result<Namespace> {
        let new = UnshareFlags::NEWNS | UnshareFlags::FS;
        // Deprecated because unsharing the descriptor table (`FILES`) is unsound; this doesn't.
        #[expect(deprecated, reason = "the replacement is unsafe for the sake of FILES, which is not asked for")]
        rustix::thread::unshare(new).doing(|| "cannot make a mount namespace")?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).doing(|| "cannot make the mounts private")?;
        read_only()?;
        for place in &self.all {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount("contract-test", &place.path, "tmpfs", flags, c"mode=755,size=128m")
                .doing(|| format!("cannot mount a copy over {}", place.path.display()))?;
        }
        // Now, before anything is written or called.
        self.all.iter().try_for_each(Place::is_covered)?;
        for folder in ["/", "/etc", "/etc/pve", "/var/lib"] {
            let flags = rustix::fs::statvfs(folder).doing(|| format!("cannot look at {folder}"))?.f_flag;
            if !flags.contains(StatVfsMountFlags::RDONLY) {
                return Err(Error::new(format!("{folder} could be written")));
            }
        }
        self.fill()?;
        Namespace::of_this_thread()
    }

    fn fill(&self) -> Result<()> {
        let Node { store, switch } = &self.node;
        self.network.write(Path::new(NETWORK))?;
        store.prepare()?;
        store.make_lock(Duration::ZERO)?;
        let put = |path: &Path, text: &str| files::replace(path, text.as_bytes(), &Attributes::mode(0o640));
        put(&switch.root.path(&switch.ceiling), &format!("{}\n", Phase::RustFull))?;
        put(&switch.root.path(&switch.migration), MIGRATION)
    }

    /// Does `work` in a scratch copy of its own, and ends what is left in there.
    ///
    /// # Errors
    /// The copy can't be made, and then nothing was done; `work`'s own; it does not end.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let (entered, namespace) = channel();
            let (done, result) = channel();
            scope.spawn(move || {
                let worked = self.enter().map_err(|e| e.context("no scratch copy, nothing is asked")).and_then(|ns| {
                    // Who waits for it is right below.
                    let _ = entered.send(ns);
                    work()
                });
                let _ = done.send(worked);
            });
            // None if it could not enter.
            let namespace = namespace.recv().ok();
            let worked = result.recv_timeout(PATIENCE);
            let swept = namespace.as_ref().map_or(Ok(()), Namespace::sweep);
            let late = || Error::new(format!("given up after {} s", PATIENCE.as_secs()));
            worked.unwrap_or_else(|_| Err(late())).and_then(|value| swept.map(|()| value))
        })
    }
}

impl Place {
    fn at(path: PathBuf) -> Result<Self> {
        let doing = || format!("cannot open {}", path.display());
        let way = "a node that pve-network-rs is installed on has it";
        let real = rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(doing)
            .map_err(|e| e.way_out(way))?;
        let stat = rustix::fs::fstat(&real).doing(doing)?;
        Ok(Self { id: (stat.st_dev, stat.st_ino), path, real })
    }

    /// Whether by its name now something else is reached than outside.
    fn is_covered(&self) -> Result<()> {
        let name = self.path.display();
        let not = |why: &str| Err(Error::new(format!("{name} is still the node's own: {why}")));
        let meta = fs::metadata(&self.path).doing(|| format!("cannot look at {name}"))?;
        if (meta.dev(), meta.ino()) == self.id || meta.dev() == self.id.0 {
            return not("it lies on the same device");
        }
        let kind = rustix::fs::statfs(&self.path).doing(|| format!("cannot look at {name}"))?.f_type;
        if kind != TMPFS {
            return not("no memory file system lies over it");
        }
        let mark = self.path.join(MARK);
        File::create_new(&mark).doing(|| format!("cannot write into the copy of {name}"))?;
        let through = rustix::fs::statat(&self.real, MARK, AtFlags::SYMLINK_NOFOLLOW);
        fs::remove_file(&mark).doing(|| format!("cannot remove {}", mark.display()))?;
        match through {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            _ => not("what is written into the copy is seen there"),
        }
    }
}

/// Makes the disks read-only, for this namespace alone.
fn read_only() -> Result<()> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").doing(|| "cannot read the mounts")?;
    for (point, flags) in table.lines().filter_map(disk) {
        let all = MountFlags::BIND | MountFlags::RDONLY | flags;
        match mount_remount(&point, all, c"") {
            // Under another mount, so that nobody gets there.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) if point != Path::new("/") => {}
            done => done.doing(|| format!("cannot make {} read-only", point.display()))?,
        }
    }
    Ok(())
}

/// Where a line of proc_pid_mountinfo(5) is mounted, with flags that it has to keep, if it is one of [`DISKS`].
fn disk(line: &str) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(' ').skip(4);
    let point = PathBuf::from(unescaped(fields.next()?));
    if point != Path::new("/") && !DISKS.iter().any(|dir| point.starts_with(dir)) {
        return None;
    }
    let mut flags = MountFlags::empty();
    for option in fields.next()?.split(',') {
        flags |= match option {
            "nosuid" => MountFlags::NOSUID,
            "nodev" => MountFlags::NODEV,
            "noexec" => MountFlags::NOEXEC,
            _ => MountFlags::empty(),
        };
    }
    Some((point, flags))
}

/// Octal for white space and backslash.
fn unescaped(text: &str) -> String {
    let known = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    known.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// A mount namespace, kept alive so that its number is no other's.
struct Namespace {
    _alive: File,
    link: PathBuf,
}

impl Namespace {
    fn of_this_thread() -> Result<Self> {
        let path = Path::new("/proc/thread-self/ns/mnt");
        let doing = || "cannot look at the mount namespace";
        Ok(Self { _alive: File::open(path).doing(doing)?, link: fs::read_link(path).doing(doing)? })
    }

    /// Ends every process in it. This program's own threads are no processes.
    fn sweep(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let left: Vec<Pid> =
                fs::read_dir("/proc").doing(|| "cannot list processes")?.flatten().filter_map(pid).collect();
            let left: Vec<Pid> = left.into_iter().filter(|pid| self.has(*pid)).collect();
            if left.is_empty() {
                return Ok(());
            }
            for pid in left {
                // By a descriptor, looked at again: the number may have become another's.
                if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
                    && self.has(pid)
                {
                    // It may have ended by itself.
                    let _ = pidfd_send_signal(process, Signal::KILL);
                }
            }
            if begin.elapsed() > Duration::from_secs(10) {
                return Err(Error::new("what Perl started can't be ended"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn has(&self, pid: Pid) -> bool {
        fs::read_link(format!("/proc/{}/ns/mnt", pid.as_raw_nonzero())).is_ok_and(|link| link == self.link)
    }
}

/// The process that an entry of `/proc` is of.
fn pid(entry: fs::DirEntry) -> Option<Pid> {
    let number = entry.file_name().to_str()?.parse::<i32>().ok()?;
    Pid::from_raw(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_known_by_where_they_are_mounted() {
        let point = |line: &str| disk(line).map(|(point, flags)| (point.display().to_string(), flags));
        let at = |path: &str, options: &str| format!("36 35 98:0 /x {path} {options} shared:1 - ext4 /dev/sda1 rw");
        assert_eq!(point(&at("/", "rw,relatime")), Some(("/".into(), MountFlags::empty())));
        let quiet = MountFlags::NOSUID | MountFlags::NODEV;
        assert_eq!(point(&at("/etc/pve", "rw,nosuid,nodev,relatime")), Some(("/etc/pve".into(), quiet)));
        assert_eq!(point(&at("/var/a\\040b", "ro,noexec")), Some(("/var/a b".into(), MountFlags::NOEXEC)));
        for other in ["/dev/shm", "/run", "/proc", "/mnt/pve/nfs", "/variety"] {
            assert_eq!(point(&at(other, "rw")), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_nothing_lies_over_is_seen_to_be_the_node_s() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::at(dir.path().to_owned()).unwrap();
        let said = place.is_covered().unwrap_err().to_string();
        assert!(said.contains("still the node's own"), "{said}");
        // Another device alone is not enough: it has to be the copy.
        let elsewhere = Place { id: (0, 0), ..place };
        assert!(elsewhere.is_covered().is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no mark is left");
    }
}
