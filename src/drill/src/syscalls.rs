//! System calls that change what is on disk, and what their arguments mean. x86-64 only, as are the
//! packages.

use nix::libc;

/// How a call names what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A descriptor in this argument.
    Fd(usize),
    /// A path in this argument.
    Path(usize),
    /// A directory's descriptor and a path relative to it.
    At(usize, usize),
    /// From the first to the second path.
    Two(usize, usize),
    /// From the first to the second path, each relative to a descriptor.
    TwoAt(usize, usize, usize, usize),
    /// Nothing.
    Nothing,
}

/// What a call does, as far as faults and durability go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Opens for writing, and may create.
    Open,
    /// Writes content.
    Write,
    /// Creates a name: a directory, a link, a node.
    Create,
    /// Moves a name.
    Rename,
    /// Removes a name.
    Remove,
    /// Changes owner, mode, times or attributes.
    Attributes,
    /// Makes content durable.
    Sync,
    /// Takes or drops a lock.
    Lock,
}

/// One call that changes something.
#[derive(Debug)]
pub struct Known {
    /// The kernel's number for it.
    pub number: i64,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
    /// How it says to what.
    pub names: Names,
}

const fn known(number: i64, name: &'static str, effect: Effect, names: Names) -> Known {
    Known { number, name, effect, names }
}

/// `fchmodat2`, Linux 6.6; the C library's headers of Debian 12 don't have it.
const SYS_FCHMODAT2: i64 = 452;

/// All of them.
pub static KNOWN: [Known; 47] = {
    use Effect::{Attributes, Create, Lock, Open, Remove, Rename, Sync, Write};
    use Names::{At, Fd, Nothing, Path, Two, TwoAt};
    [
        known(libc::SYS_write, "write", Write, Fd(0)),
        known(libc::SYS_pwrite64, "pwrite64", Write, Fd(0)),
        known(libc::SYS_writev, "writev", Write, Fd(0)),
        known(libc::SYS_pwritev, "pwritev", Write, Fd(0)),
        known(libc::SYS_copy_file_range, "copy_file_range", Write, Fd(2)),
        known(libc::SYS_sendfile, "sendfile", Write, Fd(0)),
        known(libc::SYS_ftruncate, "ftruncate", Write, Fd(0)),
        known(libc::SYS_truncate, "truncate", Write, Path(0)),
        known(libc::SYS_fallocate, "fallocate", Write, Fd(0)),
        known(libc::SYS_open, "open", Open, Path(0)),
        known(libc::SYS_openat, "openat", Open, At(0, 1)),
        known(libc::SYS_creat, "creat", Open, Path(0)),
        known(libc::SYS_mkdir, "mkdir", Create, Path(0)),
        known(libc::SYS_mkdirat, "mkdirat", Create, At(0, 1)),
        known(libc::SYS_link, "link", Create, Path(1)),
        known(libc::SYS_linkat, "linkat", Create, At(2, 3)),
        known(libc::SYS_symlink, "symlink", Create, Path(1)),
        known(libc::SYS_symlinkat, "symlinkat", Create, At(1, 2)),
        known(libc::SYS_mknod, "mknod", Create, Path(0)),
        known(libc::SYS_mknodat, "mknodat", Create, At(0, 1)),
        known(libc::SYS_rename, "rename", Rename, Two(0, 1)),
        known(libc::SYS_renameat, "renameat", Rename, TwoAt(0, 1, 2, 3)),
        known(libc::SYS_renameat2, "renameat2", Rename, TwoAt(0, 1, 2, 3)),
        known(libc::SYS_unlink, "unlink", Remove, Path(0)),
        known(libc::SYS_unlinkat, "unlinkat", Remove, At(0, 1)),
        known(libc::SYS_rmdir, "rmdir", Remove, Path(0)),
        known(libc::SYS_chmod, "chmod", Attributes, Path(0)),
        known(libc::SYS_fchmod, "fchmod", Attributes, Fd(0)),
        known(libc::SYS_fchmodat, "fchmodat", Attributes, At(0, 1)),
        known(SYS_FCHMODAT2, "fchmodat2", Attributes, At(0, 1)),
        known(libc::SYS_chown, "chown", Attributes, Path(0)),
        known(libc::SYS_lchown, "lchown", Attributes, Path(0)),
        known(libc::SYS_fchown, "fchown", Attributes, Fd(0)),
        known(libc::SYS_fchownat, "fchownat", Attributes, At(0, 1)),
        known(libc::SYS_utimensat, "utimensat", Attributes, At(0, 1)),
        known(libc::SYS_setxattr, "setxattr", Attributes, Path(0)),
        known(libc::SYS_lsetxattr, "lsetxattr", Attributes, Path(0)),
        known(libc::SYS_fsetxattr, "fsetxattr", Attributes, Fd(0)),
        known(libc::SYS_removexattr, "removexattr", Attributes, Path(0)),
        known(libc::SYS_lremovexattr, "lremovexattr", Attributes, Path(0)),
        known(libc::SYS_fremovexattr, "fremovexattr", Attributes, Fd(0)),
        known(libc::SYS_fsync, "fsync", Sync, Fd(0)),
        known(libc::SYS_fdatasync, "fdatasync", Sync, Fd(0)),
        known(libc::SYS_syncfs, "syncfs", Sync, Fd(0)),
        known(libc::SYS_sync_file_range, "sync_file_range", Sync, Fd(0)),
        known(libc::SYS_sync, "sync", Sync, Nothing),
        known(libc::SYS_flock, "flock", Lock, Fd(0)),
    ]
};

/// The call of this number, if with these arguments it changes anything.
pub fn mutating(number: i64, arguments: &[u64; 6]) -> Option<&'static Known> {
    let known = KNOWN.iter().find(|k| k.number == number)?;
    let flags = match number {
        libc::SYS_open => arguments[1],
        libc::SYS_openat => arguments[2],
        _ => return Some(known),
    };
    let writes = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64;
    (flags & writes != 0).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_changes_nothing() {
        let open = |flags: i32| mutating(libc::SYS_openat, &[0, 0, flags as u64, 0, 0, 0]).is_some();
        assert!(!open(libc::O_RDONLY | libc::O_CLOEXEC));
        assert!(open(libc::O_WRONLY) && open(libc::O_CREAT) && open(libc::O_RDWR | libc::O_TRUNC));
        assert!(mutating(libc::SYS_read, &[0; 6]).is_none());
        assert_eq!(mutating(libc::SYS_rename, &[0; 6]).unwrap().name, "rename");
    }

    #[test]
    fn every_number_is_there_once() {
        let mut numbers: Vec<i64> = KNOWN.iter().map(|k| k.number).collect();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), KNOWN.len());
    }
}
