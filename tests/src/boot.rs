//! systemd as process 1 of a node.
//!
//! It wants a cgroup of its own. That is the one thing of a node that lives on the host and
//! doesn't go away by itself, so a helper process watches over it: it holds the reading end of a
//! pipe, and removes the cgroup when the test has let go of the other, be it alive or not.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use host::{Error, IoContext, Result};
use machines::Keeper;
use machines::overlay::mount_fs;
use rustix::mount::{MountFlags, mount_bind, mount_remount};

/// `$1` is the cgroup's name, `$2` the process to put into it. Runs in a mount namespace of its
/// own, so that a host without a mounted cgroup2 (a chroot, or version 1 only) serves as well.
const WATCHER: &str = r#"
trap '' INT TERM HUP
mount -t cgroup2 cgroup2 /tmp
mkdir "/tmp/$1"
echo "$2" >"/tmp/$1/cgroup.procs"
echo ready
cat >/dev/null
for _ in $(seq 200); do
  find "/tmp/$1" -depth -type d -exec rmdir {} + 2>/dev/null || :
  [ -d "/tmp/$1" ] || exit 0
  sleep 0.02
done
"#;

/// How long systemd may take until it answers at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cgroup on the host with everything of one booted node in it.
pub struct Cgroup {
    watcher: Child,
}

impl Cgroup {
    fn with(process: u32) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rig-{}-{number}", std::process::id());
        let mut watcher = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-euc", WATCHER, "watcher"])
            .arg(name)
            .arg(process.to_string())
            .process_group(0) // a Ctrl-C at the terminal is not for it
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(|| "cannot start the watcher of a cgroup")?;
        let mut ready = [0; 6];
        let answer = watcher.stdout.take().map(|mut stdout| stdout.read_exact(&mut ready));
        if !matches!(answer, Some(Ok(()))) {
            let said = watcher.wait_with_output().doing(|| "cannot make a cgroup")?;
            let said = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            return Err(Error::new(format!("cannot make a cgroup: {said}")));
        }
        Ok(Self { watcher })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

/// Turns process 1 of the node into systemd, and waits until it can be talked to.
pub fn start(keeper: &mut Keeper) -> Result<Cgroup> {
    let cgroup = Cgroup::with(keeper.process_1())?;
    keeper.inside(furnish)?;
    keeper.release_process_1();
    let deadline = Instant::now() + PATIENCE;
    while !keeper.inside(|| Path::new("/run/systemd/private").exists()) {
        if keeper.has_ended() {
            return Err(Error::new("systemd has ended at once"));
        }
        if Instant::now() > deadline {
            return Err(Error::new(format!("systemd does not answer after {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(cgroup)
}

/// Mounts `/sys` with only the node's own network devices writable, as systemd-nspawn does it.
pub fn show_devices() -> Result<()> {
    const NET: &str = "/sys/devices/virtual/net";
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_fs("sysfs", "/sys", quiet, "")?;
    mount_bind(NET, NET).doing(|| format!("cannot bind {NET}"))?;
    mount_remount("/sys", MountFlags::BIND | MountFlags::RDONLY | quiet, "").doing(|| "cannot make /sys read-only")
}

/// What systemd expects of a container manager, see <https://systemd.io/CONTAINER_INTERFACE>.
fn furnish() -> Result<()> {
    show_devices()?;
    mount_fs("tmpfs", "/tmp", MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")?;
    // There is no console to log in at, and the host's kernel modules are none of a node's business.
    for unit in ["console-getty.service", "systemd-modules-load.service"] {
        let mask = Path::new("/run/systemd/system").join(unit);
        fs::create_dir_all("/run/systemd/system").doing(|| "cannot make /run/systemd/system")?;
        symlink("/dev/null", &mask).doing(|| format!("cannot mask {unit}"))?;
    }
    fs::write("/run/rig-boot", "").doing(|| "cannot ask for a boot")
}
