//! Puts a served file system at a node's `/etc/pve`, takes it away, and lets its daemon die.
//!
//! All of it in a thread that steps into the node's mount namespace, so that it works while the
//! node's own thread waits for an answer from the very file system.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use fuser::{BackgroundSession, Config, Session, SessionACL};
use host::{Error, IoContext, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags, fsconfig_create, fsmount, fsopen, mount,
    unmount,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::fs::Fs;

const AT: &str = "/etc/pve";

/// A node's mount namespace and its root in there, which is not that of the namespace where the rig
/// itself runs in a chroot.
pub(super) struct Place {
    mounts: File,
    root: File,
}

/// A mounted file system and the thread that answers for it.
pub(super) struct Served {
    session: BackgroundSession,
    /// The kernel's own switch for "the daemon is dead": see fuse(4)'s `connections` directory.
    abort: File,
}

impl Place {
    /// Where this process lives.
    pub fn of(process: u32) -> Result<Self> {
        let open = |name: &str| {
            let path = format!("/proc/{process}/{name}");
            File::open(&path).doing(|| format!("cannot open {path}"))
        };
        Ok(Self { mounts: open("ns/mnt")?, root: open("root")? })
    }

    /// Runs `work` there, in a thread of its own.
    fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let step_in = || {
            // A thread that shares its root directory with others may not change namespaces.
            #[expect(deprecated, reason = "the replacement is unsafe for the sake of FILES, which is not asked for")]
            rustix::thread::unshare(UnshareFlags::FS).doing(|| "cannot have a root directory of its own")?;
            move_into_link_name_space(self.mounts.as_fd(), Some(LinkNameSpaceType::Mount))
                .doing(|| "cannot step into a node's mounts")?;
            rustix::process::fchdir(&self.root).doing(|| "cannot step into a node's root")?;
            rustix::process::chroot(".").doing(|| "cannot step into a node's root")
        };
        let done = std::thread::scope(|scope| scope.spawn(|| step_in().and_then(|()| work())).join());
        done.unwrap_or_else(|_| Err(Error::new("a thread in a node's mounts panicked")))
    }

    /// Mounts `fs` and answers for it.
    pub fn serve(&self, fs: Fs) -> Result<Served> {
        let (device, abort) = self.inside(|| {
            let device = File::options().read(true).write(true).open("/dev/fuse").doing(|| "cannot open /dev/fuse")?;
            fs::create_dir_all(AT).doing(|| format!("cannot make {AT}"))?;
            if fs::read_dir(AT).doing(|| format!("cannot look into {AT}"))?.next().is_some() {
                return Err(Error::new(format!("pmxcfs does not start: {AT} is not empty")));
            }
            let options = format!(
                "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other\0",
                device.as_raw_fd()
            );
            let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes())
                .map_err(|_| Error::new("a mount option holds a zero byte"))?;
            mount("/dev/fuse", AT, "fuse", MountFlags::NOSUID | MountFlags::NODEV, options)
                .doing(|| format!("cannot mount {AT}"))?;
            Ok((OwnedFd::from(device), switch(&mounted_device()?)?))
        })?;
        let session = Session::from_fd(fs, device, SessionACL::All, Config::default())
            .and_then(Session::spawn)
            .doing(|| "cannot answer for a file system")?;
        Ok(Served { session, abort })
    }

    /// Takes the topmost mount at `/etc/pve` away, also if somebody uses it.
    pub fn unmount(&self) -> Result<()> {
        self.inside(|| unmount(AT, UnmountFlags::DETACH).doing(|| format!("cannot unmount {AT}")))
    }

    /// What lies below the mount point and would keep the real daemon from starting.
    pub fn beneath(&self) -> Result<Vec<String>> {
        self.inside(|| {
            let entries = fs::read_dir(AT).doing(|| format!("cannot look into {AT}"))?;
            Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
        })
    }
}

/// The minor number of the device at `/etc/pve`, which is its name among the connections.
fn mounted_device() -> Result<String> {
    // What the kernel knows by itself: the daemon does not answer yet.
    let found =
        statx(CWD, AT, AtFlags::STATX_DONT_SYNC, StatxFlags::empty()).doing(|| format!("cannot look at {AT}"))?;
    Ok(found.stx_dev_minor.to_string())
}

/// The switch that aborts connection `number`.
fn switch(number: &str) -> Result<File> {
    let made = fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)
        .and_then(|control| fsconfig_create(control.as_fd()).map(|()| control))
        .and_then(|control| fsmount(control.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()))
        .doing(|| "cannot mount fusectl")?;
    let path = format!("{number}/abort");
    let file = openat(&made, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("cannot open connection {path}"))?;
    Ok(File::from(file))
}

impl Served {
    /// What is left of a daemon that was killed: the mount, and ENOTCONN.
    pub fn die(&mut self) {
        // It may be gone with its mount already, which is as good.
        let _ = self.abort.write_all(b"1");
    }

    /// Whether the thread that answers has ended.
    pub fn has_ended(&self) -> bool {
        self.session.guard.is_finished()
    }

    /// Ends it and waits for its thread.
    pub fn end(mut self) -> Result<()> {
        self.die();
        self.session.join().doing(|| "a daemon ended badly")
    }
}
