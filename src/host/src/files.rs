//! Durable writes. A reader, and a power cut, sees the old file or the new one, never a part.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use sha2::{Digest, Sha256};

use crate::{Error, IoContext, Result};

/// What a file carries besides its content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Owner and group, by number; `None` leaves them to the kernel.
    pub owner: Option<(u32, u32)>,
    /// Time of last change: seconds and nanoseconds since the epoch; `None` means now.
    pub mtime: Option<(i64, u32)>,
    /// Extended attributes, ACLs among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    /// Just a mode.
    pub fn mode(mode: u32) -> Self {
        Self { mode, ..Self::default() }
    }
}

/// A name beside `path` that nobody else uses: `.name.<tag>.<pid>.<count>`.
pub fn beside(path: &Path, tag: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Process ids repeat, in namespaces often; the time makes the name new all the same.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
    named_beside(path, &format!("{tag}.{}.{nanos}{count}", std::process::id()))
}

/// Whether [`beside`] made this name with one of `tags`.
pub fn is_temporary(path: &Path, tags: &[&str]) -> bool {
    let Some(name) = path.file_name().and_then(OsStr::to_str).filter(|n| n.starts_with('.')) else { return false };
    let digits = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let mut parts = name.rsplitn(3, '.');
    let numbered = digits(parts.next()) && digits(parts.next());
    numbered && parts.next().is_some_and(|rest| tags.iter().any(|tag| rest.ends_with(&format!(".{tag}"))))
}

/// Removes what [`beside`] named with one of `tags` in this folder and whose writer has died; called
/// before this process writes there itself. What can't be removed now is found the next time; so is
/// what seems to have a writer because another process got its id.
pub fn sweep(folder: &Path, tags: &[&str]) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let writer = name.rsplit('.').nth(1).and_then(|id| id.parse().ok()).and_then(rustix::process::Pid::from_raw);
        // Our own id on a file that we did not just make is that of another life, before a reboot.
        let own = rustix::process::getpid();
        let lives = |id| id != own && rustix::process::test_kill_process(id) != Err(rustix::io::Errno::SRCH);
        if is_temporary(&path, tags) && !writer.is_some_and(lives) {
            // A folder's is empty.
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}

/// `.name.<tag>` beside `path`.
pub fn named_beside(path: &Path, tag: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("file")));
    name.push(format!(".{tag}"));
    path.with_file_name(name)
}

/// Replaces `path` by `bytes`: written beside, given its attributes, fsynced, renamed, folder
/// fsynced. On any error the old file stands and nothing is left beside it.
pub fn replace(path: &Path, bytes: &[u8], attributes: &Attributes) -> Result<()> {
    let temporary = beside(path, "new");
    let done = write_new(&temporary, bytes, attributes)
        .and_then(|()| fs::rename(&temporary, path).doing(|| format!("cannot replace {}", path.display())));
    if let Err(error) = done {
        // The first error is the one to tell; a temporary that can't go is swept by the next run.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_parent(path)
}

fn write_new(path: &Path, bytes: &[u8], attributes: &Attributes) -> Result<()> {
    let mut file = create_new(path)?;
    file.write_all(bytes).doing(|| format!("cannot write {}", path.display()))?;
    apply(&file, path, attributes)?;
    file.sync_all().doing(|| format!("cannot sync {}", path.display()))
}

/// Creates `path`, mode 0600 until [`apply`] says otherwise; an existing one is an error.
pub fn create_new(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .doing(|| format!("cannot create {}", path.display()))
}

/// Gives an open file its attributes: owner first, since changing it drops set-id bits.
pub fn apply(file: &File, path: &Path, attributes: &Attributes) -> Result<()> {
    if let Some((uid, gid)) = attributes.owner {
        fchown(file, Some(uid), Some(gid)).doing(|| format!("cannot give {} its owner", path.display()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(attributes.mode & 0o7777))
        .doing(|| format!("cannot give {} its mode", path.display()))?;
    for (name, value) in &attributes.xattrs {
        rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())
            .doing(|| format!("cannot give {} its attribute {}", path.display(), String::from_utf8_lossy(name)))?;
    }
    match attributes.mtime {
        Some(mtime) => rustix::fs::futimens(file, &last_change(mtime))
            .doing(|| format!("cannot set the time of {}", path.display())),
        None => Ok(()),
    }
}

fn last_change((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    }
}

/// Extended attributes of `path` itself (not of what a link points to). A file system without
/// them has none.
pub fn xattrs(path: &Path) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let failed = |error: rustix::io::Errno| Error::io(format!("cannot read attributes of {}", path.display()), error);
    // A query of the size alone is no use: rustix takes an empty buffer for a finished call.
    let mut names = vec![0u8; 256];
    loop {
        match rustix::fs::llistxattr(path, &mut names[..]) {
            Ok(size) => {
                names.truncate(size);
                break;
            }
            Err(rustix::io::Errno::RANGE) if names.len() < 65_536 => names.resize(65_536, 0), // XATTR_LIST_MAX
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        }
    }
    let mut out = Vec::new();
    for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0u8; 65_536]; // XATTR_SIZE_MAX, linux/limits.h
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(size) => {
                value.truncate(size);
                out.push((name.to_vec(), value));
            }
            Err(rustix::io::Errno::NODATA) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    out.sort();
    Ok(out)
}

/// Makes the entries of the folder that holds `path` durable.
pub fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes a folder's entries durable.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).doing(|| format!("cannot sync {}", dir.display()))
}

/// Makes everything on the file system that holds `path` durable, in one call. An I/O error
/// since the folder was opened is reported (Linux 5.8).
pub fn sync_file_system(path: &Path) -> Result<()> {
    let dir = File::open(path).doing(|| format!("cannot open {}", path.display()))?;
    rustix::fs::syncfs(dir.as_fd()).doing(|| format!("cannot sync the file system of {}", path.display()))
}

/// A plain file of at most `limit` bytes, to be read piece by piece; `None` if there is none. A link, a
/// folder or a device is an error, and never opened in a way that could block.
pub fn open_plain(path: &Path, limit: u64) -> Result<Option<File>> {
    let reading = || format!("cannot read {}", path.display());
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(Error::io(reading(), error)),
    };
    if !meta.is_file() {
        return Err(Error::new(format!("{}: it is not a plain file", reading())));
    }
    if meta.len() > limit {
        return Err(too_large(path, limit));
    }
    File::open(path).map(Some).doing(reading)
}

fn too_large(path: &Path, limit: u64) -> Error {
    Error::new(format!("cannot read {}: it is larger than {limit} bytes", path.display()))
}

/// The content of a plain file as [`open_plain`] opens it.
pub fn read_plain(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_plain(path, limit)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).doing(|| format!("cannot read {}", path.display()))?;
    // It may have grown since, and a file of the kernel's tells no size.
    if bytes.len() as u64 > limit { Err(too_large(path, limit)) } else { Ok(Some(bytes)) }
}

/// Creates a folder and its parents, each with `mode`, unless they exist.
pub fn create_dirs(dir: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dirs(parent, if mode == 0o700 { 0o755 } else { mode })?;
    }
    match fs::DirBuilder::new().mode(mode).create(dir) {
        Ok(()) => sync_parent(dir),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(Error::io(format!("cannot create {}", dir.display()), error)),
    }
}

/// Removes a file or link; that it is gone already is fine. Says whether there was one.
pub fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(Error::io(format!("cannot remove {}", path.display()), error)),
    }
}

/// Removes a folder with all it holds; that it is gone already is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(meta) if !meta.is_dir() => return remove(path).map(drop),
        _ => {}
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("cannot remove {}", path.display()), error)),
    }
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String never fails.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The mtime of `meta` in seconds and nanoseconds.
pub fn mtime_of(meta: &fs::Metadata) -> (i64, u32) {
    use std::os::unix::fs::MetadataExt;
    (meta.mtime(), meta.mtime_nsec().try_into().unwrap_or(0))
}

/// Free bytes and free inodes for root on the file system that holds `path`. Inodes are
/// `u64::MAX` where the file system doesn't count them (btrfs).
pub fn free_room(path: &Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(path).doing(|| format!("cannot ask for free room at {}", path.display()))?;
    let inodes = if stat.f_files == 0 { u64::MAX } else { stat.f_ffree };
    Ok((stat.f_bavail.saturating_mul(stat.f_frsize), inodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_keeps_the_old_file_when_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"old", &Attributes::mode(0o640)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        let bad = Attributes { xattrs: vec![(b"nonsense".to_vec(), vec![])], ..Attributes::mode(0o600) };
        replace(&path, b"new", &bad).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn temporaries_are_told_from_peoples_files() {
        let path = Path::new("/etc/network/interfaces.d/x.y");
        assert!(is_temporary(&beside(path, "tag"), &["other", "tag"]));
        assert!(!is_temporary(&beside(path, "tag"), &["other"]));
        for name in [".x.tag.1", ".x.tag.1.", ".x.tag.1.a", "x.tag.1.2", ".tag", ".x.1.2"] {
            assert!(!is_temporary(Path::new(name), &["tag"]), "{name}");
        }
    }

    #[test]
    fn only_what_the_dead_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let dead = std::process::Command::new("true").spawn().and_then(|mut c| c.wait().map(|_| c.id())).unwrap();
        let mut alive = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = dir.path().join(format!(".f.new.{}.1", alive.id()));
        let own = beside(&dir.path().join("f"), "new");
        let names = [format!(".f.new.{dead}.1"), format!(".f.old.{dead}.1"), "f".to_owned()];
        for path in names.iter().map(|n| dir.path().join(n)).chain([own.clone(), other.clone()]) {
            fs::write(path, "").unwrap();
        }
        sweep(dir.path(), &["new"]);
        alive.kill().and_then(|()| alive.wait()).unwrap();
        assert!(other.exists() && dir.path().join("f").exists() && dir.path().join(&names[1]).exists());
        assert!(!own.exists() && !dir.path().join(&names[0]).exists());
    }

    #[test]
    fn attributes_are_read_as_they_were_set() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let set = vec![(b"user.a".to_vec(), b"by hand".to_vec()), (b"user.b".to_vec(), vec![0, 255])];
        replace(&path, b"x", &Attributes { xattrs: set.clone(), ..Attributes::mode(0o600) }).unwrap();
        let found = xattrs(&path).unwrap();
        assert_eq!(found.into_iter().filter(|(n, _)| n.starts_with(b"user.")).collect::<Vec<_>>(), set);
    }

    #[test]
    fn only_plain_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("l");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(read_plain(&link, 10).is_err());
        assert!(read_plain(dir.path(), 10).is_err());
        assert_eq!(read_plain(&dir.path().join("none"), 10).unwrap(), None);
        fs::write(dir.path().join("f"), b"12345").unwrap();
        assert_eq!(read_plain(&dir.path().join("f"), 5).unwrap().unwrap(), b"12345");
        assert!(read_plain(&dir.path().join("f"), 4).unwrap_err().to_string().contains("larger than 4 bytes"));
    }
}
