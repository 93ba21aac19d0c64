//! The file systems of a node, made by the thread that will live in it: see `keeper`.
//!
//! Nothing here has to be undone. Every mount is made in a mount namespace of its own and goes
//! when the last process in it does.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, makedev, mknodat, open, statx};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::{chroot, pivot_root};
use rustix::thread::UnshareFlags;

/// Where the layers are put together: any directory does, since only this thread sees the mounts.
const WORKSHOP: &str = "/tmp";

/// Moves the calling thread into namespaces of its own; children it starts are born into them.
pub(crate) fn leave_the_host() -> Result<()> {
    let all = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWNET
        | UnshareFlags::FS;
    // Deprecated because unsharing the descriptor table (`FILES`) is unsound; this doesn't.
    #[expect(deprecated, reason = "the replacement is unsafe for the sake of FILES, which is not asked for")]
    rustix::thread::unshare(all).doing(|| "cannot make namespaces (needs root)")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(|| "cannot make the mounts private")?;
    own_root_mount()
}

/// `pivot_root` wants `/` to be a mount point. In a plain chroot it is none: put one over it.
fn own_root_mount() -> Result<()> {
    let root = statx(CWD, "/", AtFlags::empty(), StatxFlags::BASIC_STATS).doing(|| "cannot look at /")?;
    if root.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(());
    }
    mount_bind_recursive("/", "/").doing(|| "cannot bind /")?;
    // `/` itself still means the directory below; its `..` is the mount on top of it.
    rustix::process::chdir("/..").doing(|| "cannot enter the bound /")?;
    chroot(".").doing(|| "cannot chroot into the bound /")
}

/// What a machine's writable layer lies on.
#[derive(Debug, Clone, Default)]
pub enum Scratch {
    /// Memory: fresh, and gone with the machine.
    #[default]
    Memory,
    /// The same with little room.
    Small {
        /// How much.
        mebibytes: u32,
        /// For how many files.
        inodes: u32,
    },
    /// A file system on a block device, with what earlier machines left there.
    Disk {
        /// The device.
        device: PathBuf,
        /// The file system, as mount(8) names it.
        kind: String,
        /// Mount options of that file system.
        options: String,
    },
}

impl Scratch {
    fn mount(&self, at: &str) -> Result<()> {
        let (device, kind, options) = match self {
            Self::Memory => return mount_fs("tmpfs", at, MountFlags::empty(), "mode=755"),
            Self::Small { mebibytes, inodes } => {
                let options = format!("mode=755,size={mebibytes}m,nr_inodes={inodes}");
                return mount_fs("tmpfs", at, MountFlags::empty(), &options);
            }
            Self::Disk { device, kind, options } => (device, kind, options),
        };
        let data = CString::new(options.as_str()).map_err(|_| Error::new("a mount option holds a zero byte"))?;
        mount(device, at, kind.as_str(), MountFlags::empty(), data.as_c_str())
            .doing(|| format!("cannot mount {} as {kind}", device.display()))
    }
}

/// Lays a writable layer over `layers`, the topmost first, and makes it this thread's `/`.
/// Returns the writable layer: what is in there is what has changed.
pub fn enter(layers: &[PathBuf], scratch: &Scratch) -> Result<OwnedFd> {
    let opened: Vec<File> = layers
        .iter()
        .map(|layer| File::open(layer).doing(|| format!("cannot open {}", layer.display())))
        .collect::<Result<_>>()?;
    scratch.mount(WORKSHOP)?;
    rustix::process::chdir(WORKSHOP).doing(|| "cannot enter the workshop")?;
    for dir in ["upper", "work", "root"] {
        fs::create_dir_all(dir).doing(|| format!("cannot make {dir}"))?;
    }
    // Through bind mounts, so that a comma or colon in a path can't be taken for an option.
    let mut names = Vec::new();
    for (number, (dir, layer)) in opened.iter().zip(layers).enumerate() {
        let name = format!("lower{number}");
        fs::create_dir_all(&name).doing(|| format!("cannot make {name}"))?;
        mount_bind(format!("/proc/self/fd/{}", dir.as_raw_fd()), &name)
            .doing(|| format!("cannot bind {}", layer.display()))?;
        names.push(name);
    }
    let layers = format!("lowerdir={},upperdir=upper,workdir=work,redirect_dir=on", names.join(":"));
    mount_fs("overlay", "root", MountFlags::empty(), &layers)?;
    let upper = open("upper", OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "cannot open the upper layer")?;
    if matches!(scratch, Scratch::Disk { .. }) {
        // A power cut from now on finds the layer there.
        host::files::sync_file_system(Path::new("upper"))?;
    }
    rustix::process::chdir("root").doing(|| "cannot enter the overlay")?;
    mount_fs("tmpfs", "run", MountFlags::NOSUID | MountFlags::NODEV, "mode=755")?;
    fs::create_dir("run/lock").doing(|| "cannot make /run/lock")?;
    device_nodes(Path::new("dev"))?;
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and goes.
    pivot_root(".", ".").doing(|| "cannot pivot into the overlay")?;
    unmount(".", UnmountFlags::DETACH).doing(|| "cannot let go of the host's mounts")?;
    rustix::process::chdir("/").doing(|| "cannot enter the node")?;
    Ok(upper)
}

/// Private device nodes: programs inside change the owners and modes of what they find.
fn device_nodes(dev: &Path) -> Result<()> {
    mount_fs("tmpfs", dev, MountFlags::NOSUID, "mode=755")?;
    let nodes = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
        ("fuse", 10, 229),
        ("console", 1, 3), // nobody reads a node's console; a null device swallows it
    ];
    for (name, major, minor) in nodes {
        let path = dev.join(name);
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor))
            .doing(|| format!("cannot make device {name}"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o666)).doing(|| format!("cannot open up {name}"))?;
    }
    let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (name, target) in links.into_iter().chain([("ptmx", "pts/ptmx")]) {
        symlink(target, dev.join(name)).doing(|| format!("cannot link {name}"))?;
    }
    for dir in ["pts", "shm"] {
        fs::create_dir(dev.join(dir)).doing(|| format!("cannot make {dir}"))?;
    }
    mount_fs("devpts", dev.join("pts"), MountFlags::NOSUID, "newinstance,ptmxmode=0666,mode=620,gid=5")?;
    mount_fs("tmpfs", dev.join("shm"), MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")
}

/// Mounts a file system that needs no device.
pub fn mount_fs(kind: &str, at: impl AsRef<Path>, flags: MountFlags, options: &str) -> Result<()> {
    let at = at.as_ref();
    let data = CString::new(options).map_err(|_| Error::new("a mount option holds a zero byte"))?;
    mount(kind, at, kind, flags, data.as_c_str()).doing(|| format!("cannot mount {kind} on {}", at.display()))
}
