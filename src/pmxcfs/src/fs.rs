//! One node's `/etc/pve` as the kernel asks for it. What it answers is [`super::db`]'s; this adds
//! the links and files that every node has of its own, modes and owner, and what FUSE itself does
//! for the real daemon: it implements no symlink, link, mknod, xattr, fsync or access, and
//! passes times on only if both are set.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::io::Errno as Os;

use super::db::is_private;
use super::{Cluster, locked};

/// Nothing is cached: another node's write is seen at once.
const TTL: Duration = Duration::ZERO;
/// www-data, base-passwd's number on every Debian.
pub const WWW_DATA: u32 = 33;
/// What libfuse 2 takes at once with `big_writes`.
const MAX_WRITE: u32 = 128 << 10;

/// The kernel's numbers for paths, as libfuse keeps them: a number means a path, not a file.
#[derive(Default)]
struct Names {
    paths: HashMap<u64, String>,
    numbers: HashMap<String, u64>,
    next: u64,
}

impl Names {
    fn new() -> Self {
        let root = (INodeNo::ROOT.0, String::new());
        let numbers = HashMap::from([(root.1.clone(), root.0)]);
        Self { paths: HashMap::from([root]), numbers, next: 2 }
    }

    fn number(&mut self, path: &str) -> u64 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.next;
        self.next += 1;
        self.paths.insert(number, path.to_owned());
        self.numbers.insert(path.to_owned(), number);
        number
    }

    fn forget(&mut self, path: &str) {
        if let Some(number) = self.numbers.remove(path) {
            self.paths.remove(&number);
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.forget(to);
        if let Some(number) = self.numbers.remove(from) {
            self.paths.insert(number, to.to_owned());
            self.numbers.insert(to.to_owned(), number);
        }
    }
}

/// The file system that one node mounts.
pub(super) struct Fs {
    cluster: Arc<Cluster>,
    node: String,
    names: Mutex<Names>,
}

type Answer<T> = Result<T, Os>;

/// A file, folder or link as it is shown.
struct Shown {
    kind: FileType,
    mode: u16,
    size: u64,
    mtime: u32,
}

impl Fs {
    pub fn new(cluster: Arc<Cluster>, node: &str) -> Self {
        Self { cluster, node: node.to_owned(), names: Mutex::new(Names::new()) }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        locked(&self.names)
    }

    fn path(&self, number: INodeNo) -> Answer<String> {
        self.names().paths.get(&number.0).cloned().ok_or(Os::NOENT)
    }

    fn below(&self, parent: INodeNo, name: &OsStr) -> Answer<String> {
        let name = name.to_str().ok_or(Os::INVAL)?;
        let parent = self.path(parent)?;
        Ok(if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") })
    }

    /// Where this node's own links lead.
    fn link(&self, path: &str) -> Option<String> {
        match path {
            "local" => Some(format!("nodes/{}", self.node)),
            "lxc" | "qemu-server" | "openvz" => Some(format!("nodes/{}/{path}", self.node)),
            _ => None,
        }
    }

    /// Files that the daemon makes up when they are read.
    fn made_up(&self, path: &str) -> Option<Vec<u8>> {
        match path {
            ".version" => Some(self.cluster.version_text(&self.node)),
            ".members" => Some(self.cluster.members_text(&self.node)),
            _ => None,
        }
    }

    fn look(&self, path: &str) -> Answer<Shown> {
        let quorate = self.cluster.looks_quorate(&self.node);
        let writable = |mode: u16| if quorate { mode } else { mode & 0o555 };
        if self.link(path).is_some() {
            return Ok(Shown { kind: FileType::Symlink, mode: writable(0o755), size: 0, mtime: 0 });
        }
        if let Some(bytes) = self.made_up(path) {
            return Ok(Shown { kind: FileType::RegularFile, mode: 0o440, size: bytes.len() as u64, mtime: 0 });
        }
        self.cluster.view(&self.node, |db| {
            let entry = db.get(path).ok_or(Os::NOENT)?;
            let size = entry.content.as_ref().map_or(0, |c| c.len() as u64);
            let (kind, mode) = match (entry.is_dir(), is_private(path)) {
                (true, false) => (FileType::Directory, 0o755),
                (true, true) => (FileType::Directory, 0o700),
                (false, false) => (FileType::RegularFile, 0o640),
                (false, true) => (FileType::RegularFile, 0o600),
            };
            Ok(Shown { kind, mode: writable(mode), size, mtime: entry.mtime })
        })
    }

    fn attributes(&self, path: &str) -> Answer<FileAttr> {
        let shown = self.look(path)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(shown.mtime.into());
        Ok(FileAttr {
            ino: INodeNo(self.names().number(path)),
            size: shown.size,
            blocks: shown.size.div_ceil(4096),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: shown.kind,
            perm: shown.mode,
            nlink: if shown.kind == FileType::Directory { 2 } else { 1 },
            uid: 0,
            gid: WWW_DATA,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    /// The links and made-up files are no part of the database: nobody writes or removes them.
    fn ours(&self, path: &str) -> Answer<()> {
        if self.link(path).is_some() || self.made_up(path).is_some() { Err(Os::ACCESS) } else { Ok(()) }
    }

    /// Whether a call to the same mode and owner, and what else it is, goes through.
    fn set(&self, path: &str, change: &Change) -> Answer<()> {
        if let Some(mode) = change.mode {
            self.cluster.note(&self.node, format!("chmod {path} {:04o}", mode & 0o7777));
            let allowed = if is_private(path) { 0o600 } else { 0o640 };
            if mode & 0o7777 != allowed {
                return Err(Os::PERM);
            }
        }
        if change.owner != (None, None) {
            self.cluster.note(&self.node, format!("chown {path}"));
            if change.owner.0.unwrap_or(0) != 0 || change.owner.1.unwrap_or(WWW_DATA) != WWW_DATA {
                return Err(Os::PERM);
            }
        }
        if let Some(size) = change.size {
            self.ours(path)?;
            let size = usize::try_from(size).map_err(|_| Os::FBIG)?;
            self.cluster.change(&self.node, format!("truncate {path}"), |db, _| db.truncate(path, size, &self.node))?;
        }
        // With one of them alone libfuse calls nobody, and says that all went well.
        if let (Some(_), Some(mtime)) = (change.atime, change.mtime) {
            self.ours(path)?;
            self.cluster
                .change(&self.node, format!("utime {path} {mtime}"), |db, _| db.utime(path, mtime, &self.node))?;
        }
        Ok(())
    }

    fn move_it(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr)) -> Answer<()> {
        let (from, to) = (self.below(from.0, from.1)?, self.below(to.0, to.1)?);
        self.ours(&from)?;
        self.ours(&to)?;
        let done =
            self.cluster.change(&self.node, format!("rename {from} {to}"), |db, _| db.rename(&from, &to, &self.node));
        done.map(|()| self.names().rename(&from, &to))
    }

    fn delete(&self, verb: &str, parent: INodeNo, name: &OsStr) -> Answer<()> {
        let path = self.below(parent, name)?;
        self.ours(&path)?;
        self.cluster.change(&self.node, format!("{verb} {path}"), |db, _| db.delete(&path))?;
        self.names().forget(&path);
        Ok(())
    }

    fn make(&self, verb: &str, parent: INodeNo, name: &OsStr) -> Answer<FileAttr> {
        let path = self.below(parent, name)?;
        self.ours(&path)?;
        self.cluster.change(&self.node, format!("{verb} {path}"), |db, _| match verb {
            "mkdir" => db.mkdir(&path, &self.node),
            _ => db.create(&path, &self.node),
        })?;
        self.attributes(&path)
    }

    fn content(&self, number: INodeNo) -> Answer<Vec<u8>> {
        let path = self.path(number)?;
        if let Some(bytes) = self.made_up(&path) {
            return Ok(bytes);
        }
        self.cluster.view(&self.node, |db| db.get(&path).and_then(|e| e.content.clone()).ok_or(Os::NOENT))
    }

    fn put(&self, number: INodeNo, offset: u64, data: &[u8]) -> Answer<u32> {
        let path = self.path(number)?;
        self.ours(&path)?;
        let offset = usize::try_from(offset).map_err(|_| Os::FBIG)?;
        let wrote = self.cluster.change(&self.node, format!("write {path} {}", data.len()), |db, most| {
            db.write(&path, offset, &data[..data.len().min(most)], &self.node)
        })?;
        Ok(wrote.try_into().unwrap_or(u32::MAX))
    }

    fn list(&self, number: INodeNo) -> Answer<Vec<(u64, FileType, String)>> {
        let path = self.path(number)?;
        let mut names: Vec<(FileType, String)> = self.cluster.view(&self.node, |db| {
            let kind = |dir| if dir { FileType::Directory } else { FileType::RegularFile };
            db.names(&path).into_iter().map(|(name, e)| (kind(e.is_dir()), name.to_owned())).collect()
        });
        if path.is_empty() {
            let links = ["local", "lxc", "openvz", "qemu-server"].map(|n| (FileType::Symlink, n.to_owned()));
            names.extend(links);
            names.extend([".version", ".members"].map(|n| (FileType::RegularFile, n.to_owned())));
        }
        names.extend([".", ".."].map(|n| (FileType::Directory, n.to_owned())));
        // A number of no meaning: the kernel asks for the real one by name.
        Ok(names.into_iter().map(|(kind, name)| (u64::MAX, kind, name)).collect())
    }
}

/// What setattr asks for.
struct Change {
    mode: Option<u32>,
    owner: (Option<u32>, Option<u32>),
    size: Option<u64>,
    atime: Option<u32>,
    mtime: Option<u32>,
}

fn seconds(time: TimeOrNow) -> u32 {
    let time = match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    };
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(u32::MAX)
}

fn errno(error: Os) -> Errno {
    Errno::from_i32(error.raw_os_error())
}

impl Filesystem for Fs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Fails only for a value out of range.
        let _ = config.set_max_write(MAX_WRITE);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.below(parent, name).and_then(|path| self.attributes(&path)) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.path(number).and_then(|path| self.attributes(&path)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change { mode, owner: (uid, gid), size, atime: atime.map(seconds), mtime: mtime.map(seconds) };
        let done = self.path(number).and_then(|path| {
            self.set(&path, &change)?;
            self.attributes(&path)
        });
        match done {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.path(number).map(|path| self.link(&path)) {
            Ok(Some(target)) => reply.data(target.as_bytes()),
            Ok(None) => reply.error(Errno::EINVAL),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        match self.make("mkdir", parent, name) {
            Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.make("create", parent, name) {
            Ok(attr) => reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.delete("unlink", parent, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.delete("rmdir", parent, name), reply);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &std::path::Path, reply: ReplyEntry) {
        reply.error(Errno::ENOSYS);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::ENOSYS);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to: INodeNo,
        as_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        // libfuse 2 knows no flags, and the kernel says EINVAL for it.
        let plain = if flags.is_empty() { Ok(()) } else { Err(Os::INVAL) };
        finish(plain.and_then(|()| self.move_it((parent, name), (to, as_name))), reply);
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.path(number).and_then(|path| self.look(&path)) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.content(number) {
            Ok(bytes) => {
                let from = bytes.len().min(offset.try_into().unwrap_or(usize::MAX));
                let to = bytes.len().min(from + size as usize);
                reply.data(&bytes[from..to]);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.put(number, offset, data) {
            Ok(wrote) => reply.written(wrote),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        match self.list(number) {
            Ok(names) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                for (index, (number, kind, name)) in names.into_iter().enumerate().skip(from) {
                    if reply.add(INodeNo(number), index as u64 + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        // 128 MiB in blocks of 4 KiB, and 256 k files.
        reply.statfs(32 << 10, 32 << 10, 32 << 10, 256 << 10, 256 << 10, 4096, 256, 4096);
    }
}

fn finish(done: Answer<()>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}
