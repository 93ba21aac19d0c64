//! A fresh Debian, thrown away when the test is done with it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use host::Root;
use machines::Keeper;
use pmxcfs::{Membership, Pmxcfs};

use crate::boot::Cgroup;
use crate::call::{Listing, Output, clean_env};
use crate::{Machine, Suite, Tree, boot, roots};

/// More lines than this hide the cause of a failure rather than show it.
const LISTED: usize = 80;

/// A throw-away machine: a writable layer in memory over a base root, with its own processes,
/// mounts, host name and (empty) network. Made in milliseconds; nothing of it outlives it.
///
/// Until [`Node::boot`] it is a chroot as far as Debian is concerned: no systemd runs, and
/// maintainer scripts must cope.
pub struct Node {
    // Before the keeper: its daemon must not outlive the mount that it answers for.
    membership: Option<Membership>,
    // Before the cgroup: that can only be removed once every process is gone.
    keeper: Keeper,
    cgroup: Option<Cgroup>,
    upper: Arc<OwnedFd>,
    name: String,
}

impl Node {
    /// A Debian 12 machine.
    pub fn bookworm() -> Self {
        Self::of(Suite::Bookworm)
    }

    /// A Debian 13 machine.
    pub fn trixie() -> Self {
        Self::of(Suite::Trixie)
    }

    /// A machine of the given release.
    pub fn of(suite: Suite) -> Self {
        Self::with_packages(suite, &[])
    }

    /// A machine of the given release with more Debian packages than the base root has.
    pub fn with_packages(suite: Suite, packages: &[&str]) -> Self {
        let made = roots::base_with(suite, packages).and_then(|lower| Keeper::start(vec![lower], "node"));
        let (keeper, upper) = match made {
            Ok(made) => made,
            Err(error) => panic!("cannot make a {} node: {error}", suite.name()),
        };
        Self { membership: None, keeper, cgroup: None, upper: Arc::new(upper), name: suite.name().to_owned() }
    }

    /// The same with another host name than `node`.
    pub fn named(mut self, name: &str) -> Self {
        let hostname = name.as_bytes().to_vec();
        let named = self.keeper.inside(move || rustix::system::sethostname(&hostname));
        named.unwrap_or_else(|error| panic!("cannot name the node {name}: {error}"));
        self.write("/etc/hostname", format!("{name}\n"));
        self.name = format!("{} ({name})", self.name);
        self
    }

    /// The same with `/sys`, which a machine that isn't booted lacks otherwise: read-only but for the
    /// node's own network devices. ifupdown2 needs it. Right after it has made a device, the kernel's
    /// notice may not have reached its cache yet; it then looks below `/sys/class/net`, and without
    /// that fails, now and then, with "ifname vmbr0 not present in cache".
    pub fn with_sys(self) -> Self {
        let mounted = self.keeper.inside(boot::show_devices);
        mounted.unwrap_or_else(|error| panic!("cannot show {} its devices: {error}", self.name));
        self
    }

    /// The same as the node `name` of a cluster: with its `/etc/pve` mounted there. It stays mounted
    /// when the machine is booted.
    #[track_caller]
    pub fn in_cluster(mut self, cluster: &Pmxcfs, name: &str) -> Self {
        // As far as files tell, pve-cluster is installed.
        self.write_program("/usr/bin/pmxcfs", "#!/bin/sh\necho 'the rig serves /etc/pve' >&2\nexit 1\n");
        match Membership::join(cluster, name, self.process_1()) {
            Ok(member) => self.membership = Some(member),
            Err(error) => panic!("cannot make {} node {name} of a cluster: {error}", self.name),
        }
        self
    }

    /// Starts systemd as process 1 and waits until it has started everything. What was installed
    /// and written before is there. Programs that ran in the background are gone.
    #[must_use = "the booted machine is the value"]
    pub fn boot(mut self) -> Self {
        // machine-id(5): an empty file is "not yet known", a missing one is "first boot".
        if !self.exists("/etc/machine-id") {
            self.write("/etc/machine-id", "");
        }
        self.start_systemd();
        self
    }

    /// Boots as a golden image does: without a machine-id, hence as a first boot, on which systemd
    /// applies the presets to every unit.
    #[must_use = "the booted machine is the value"]
    pub fn boot_first_time(mut self) -> Self {
        self.sh("rm -f /etc/machine-id");
        self.start_systemd();
        self
    }

    fn start_systemd(&mut self) {
        assert!(self.cgroup.is_none(), "{} is booted already", self.describe());
        match boot::start(&mut self.keeper) {
            Ok(cgroup) => self.cgroup = Some(cgroup),
            Err(error) => panic!("cannot boot {}: {error}", self.describe()),
        }
        let waiting = self.call(["systemctl", "is-system-running", "--wait"]).patience(Duration::from_secs(60)).run();
        let state = waiting.stdout.trim();
        if !["running", "degraded"].contains(&state) {
            let log = self.sh("systemctl list-jobs; systemctl --failed; journalctl -b --no-pager | tail -50");
            panic!("{} came up as {state:?}: {}{}", self.describe(), waiting.stderr, log.stdout);
        }
    }

    /// Runs `systemctl` with these arguments.
    pub fn systemctl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        let words = arguments.into_iter().map(|word| word.as_ref().to_owned());
        self.run(std::iter::once(OsString::from("systemctl")).chain(words))
    }

    /// Everything that was written since the machine was made: its layer over the base root, in which
    /// what was removed has an entry too. While this is the same, so is the whole disk; and it takes a
    /// hundredth of the time to read.
    pub fn written(&self) -> Tree {
        Tree::of(&PathBuf::from(format!("/proc/self/fd/{}", self.upper.as_raw_fd())), Path::new("/"))
    }

    /// The process id, as the host counts, of the machine's process 1: for `nsenter` and signals.
    pub fn process_1(&self) -> u32 {
        self.keeper.process_1()
    }
}

impl Machine for Node {
    fn inside<T: Send + 'static>(&self, work: impl FnOnce(&Root) -> T + Send + 'static) -> T {
        self.keeper.inside(move || work(&Root::system()))
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        Root::at(format!("/proc/{}/root", self.process_1())).path(path)
    }

    fn argument(&self, path: &str) -> OsString {
        path.into()
    }

    fn prepare(&self, argv: &[OsString]) -> Command {
        let mut command = Command::new(&argv[0]);
        clean_env(&mut command, OsStr::new("/root"));
        command.args(&argv[1..]).current_dir("/").process_group(0);
        command
    }

    fn spawn(&self, mut command: Command) -> std::io::Result<Child> {
        self.keeper.inside(move || command.spawn())
    }

    fn listing(&self) -> Listing {
        let upper = Arc::clone(&self.upper);
        Arc::new(move || list(&PathBuf::from(format!("/proc/self/fd/{}", upper.as_raw_fd()))))
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

/// The files in a writable layer; those that it hides from the base root are marked.
fn list(layer: &Path) -> String {
    let (mut files, mut todo) = (Vec::new(), vec![layer.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
            if meta.is_dir() {
                todo.push(entry.path());
                continue;
            }
            let deleted = meta.file_type().is_char_device() && meta.rdev() == 0;
            let path = entry.path();
            let path = path.strip_prefix(layer).unwrap_or(&path).display().to_string();
            let note = if deleted { "deleted".to_owned() } else { format!("{:04o}", meta.mode() & 0o7777) };
            files.push(format!("/{path}  {note}\n"));
        }
    }
    files.sort();
    let more = files.len().saturating_sub(LISTED);
    files.truncate(LISTED);
    let rest = if more > 0 { format!("and {more} more\n") } else { String::new() };
    files.concat() + &rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_listed_with_modes_and_an_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        for n in 0..LISTED + 3 {
            fs::write(dir.path().join(format!("etc/{n:03}")), "").unwrap();
        }
        let text = list(dir.path());
        assert!(text.starts_with("/etc/000  0"), "{text}");
        assert!(text.ends_with("and 3 more\n"), "{text}");
    }
}
