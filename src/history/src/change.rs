//! Several files changed as one set: all are written beside their places and made durable first,
//! so that what can fail has failed before the first rename.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use host::{Cluster, Error, IoContext, Result, files};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::entry::{self, Meta, What};
use crate::restore::TAG;
use crate::{PathText, Scope, Store};

/// One path, from what to what.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub path: PathText,
    /// Whose it is.
    pub scope: Scope,
    /// Digest of what must stand there for the change to be made.
    pub from: String,
    /// What shall stand there.
    pub to: What,
    /// Folders above it, outermost first: those that are missing are made like this.
    pub folders: Vec<(PathText, Meta)>,
    /// The content of a plain file.
    pub content: Option<Vec<u8>>,
}

/// How one path fared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was changed now.
    Changed,
    /// It stood so already.
    Already,
    /// Somebody else changed it meanwhile, so it was left alone.
    Foreign,
}

/// Makes the changes; says for each path how it fared. An error before the first rename leaves
/// everything as it was; a later one is returned after the rest was tried.
pub fn apply(store: &Store, changes: &[Change]) -> Result<Vec<(PathText, Fate)>> {
    let mut prepared = Prepared::default();
    for change in changes {
        prepared.add(store, change)?;
    }
    prepared.commit(store)
}

#[derive(Default)]
struct Prepared<'a> {
    steps: Vec<(&'a Change, PathBuf, Step)>,
}

enum Step {
    Nothing(Fate),
    Rename(PathBuf),
    Delete(PathBuf),
    Cluster(Option<Vec<u8>>),
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        for (_, _, step) in &self.steps {
            // Ours if it never got its place, else what stood there before.
            if let Step::Rename(temporary) | Step::Delete(temporary) = step {
                let _ = fs::remove_file(temporary);
            }
        }
    }
}

impl<'a> Prepared<'a> {
    fn add(&mut self, store: &Store, change: &'a Change) -> Result<()> {
        let real = store.root.resolve(change.path.as_path())?;
        let (now, content) = entry::read(&real)?;
        let there =
            if change.scope == Scope::Cluster { now.digest() == change.to.digest() } else { now.same(&change.to) };
        let step = if there {
            Step::Nothing(Fate::Already)
        } else if now.digest() != change.from {
            Step::Nothing(Fate::Foreign)
        } else if change.scope == Scope::Cluster {
            Step::Cluster(content)
        } else if matches!(change.to, What::Absent) {
            Step::Delete(files::beside(&real, TAG))
        } else {
            let temporary = files::beside(&real, TAG);
            make_parents(store, change, &real)?;
            self.steps.push((change, real, Step::Rename(temporary.clone())));
            return write(&temporary, change);
        };
        self.steps.push((change, real, step));
        Ok(())
    }

    fn commit(self, store: &Store) -> Result<Vec<(PathText, Fate)>> {
        let mut fates = Vec::new();
        let mut first_error = None;
        for (change, real, step) in &self.steps {
            let done = match step {
                Step::Nothing(fate) => Ok(fate.clone()),
                Step::Rename(temporary) => put(store, change, real, temporary),
                Step::Delete(temporary) => delete(change, real, temporary),
                Step::Cluster(now) => cluster(store, change, now.as_deref()),
            };
            match done {
                Ok(fate) => fates.push((change.path.clone(), fate)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        for (_, real, step) in &self.steps {
            if matches!(step, Step::Rename(_) | Step::Delete(_))
                && let Err(error) = files::sync_parent(real)
            {
                first_error = first_error.or(Some(error));
            }
        }
        match first_error {
            None => Ok(fates),
            Some(error) => Err(error),
        }
    }
}

/// Makes the folders that are missing, each under another name until it has its attributes.
fn make_parents(store: &Store, change: &Change, real: &Path) -> Result<()> {
    for (path, meta) in &change.folders {
        let real = store.root.resolve(path.as_path())?;
        if fs::symlink_metadata(&real).is_ok() {
            continue;
        }
        let temporary = files::beside(&real, TAG);
        let making = || format!("cannot create {path}");
        files::create_dirs(temporary.parent().unwrap_or(Path::new("/")), 0o755)?;
        fs::DirBuilder::new().mode(0o700).create(&temporary).doing(making)?;
        let done = fs::File::open(&temporary)
            .doing(making)
            .and_then(|dir| files::apply(&dir, &real, &meta.attributes()))
            .and_then(|()| fs::rename(&temporary, &real).doing(making));
        if done.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_dir(&temporary);
        }
        done?;
        files::sync_parent(&real)?;
    }
    match real.parent() {
        Some(parent) => files::create_dirs(parent, 0o755),
        None => Ok(()),
    }
}

pub(crate) fn write(temporary: &Path, change: &Change) -> Result<()> {
    match (&change.to, &change.content) {
        (What::File { meta, .. }, Some(bytes)) => {
            use std::io::Write;
            let mut file = files::create_new(temporary)?;
            file.write_all(bytes).doing(|| format!("cannot write {}", temporary.display()))?;
            files::apply(&file, temporary, &meta.attributes())?;
            file.sync_all().doing(|| format!("cannot sync {}", temporary.display()))
        }
        (What::Link { target, uid, gid }, _) => {
            symlink(target.as_path(), temporary).doing(|| format!("cannot create {}", temporary.display()))?;
            std::os::unix::fs::lchown(temporary, Some(*uid), Some(*gid))
                .doing(|| format!("cannot give {} its owner", temporary.display()))
        }
        _ => Err(Error::new(format!("cannot put {} in place: its content is not at hand", change.path))),
    }
}

fn put(store: &Store, change: &Change, real: &Path, temporary: &Path) -> Result<Fate> {
    if change.from == "dir" {
        // A folder where a file belongs; what it held is moved away, never deleted.
        files::create_dirs(&store.root.path(store.attic()), 0o700)?;
        let away = free(store, &store.attic().join(format!("folder-{}", store.clock.now().compact())));
        move_tree(real, &store.root.path(away))?;
    }
    let foreign = |found: &Path| entry::digest_at(found).is_ok_and(|digest| digest != change.from);
    let doing = || format!("cannot replace {}", change.path);
    // Whoever saves the file in this very moment is seen: what stood there comes out of the exchange.
    let absent = change.from == "absent" || change.from == "dir";
    let how = if absent { RenameFlags::NOREPLACE } else { RenameFlags::EXCHANGE };
    match renameat_with(CWD, temporary, CWD, real, how) {
        Ok(()) if absent || !foreign(temporary) => Ok(Fate::Changed),
        Ok(()) => back(temporary, real, &change.to).doing(doing).map(|()| Fate::Foreign),
        Err(Errno::EXIST) | Err(Errno::NOENT) => Ok(Fate::Foreign),
        // A file system that can't: the comparison is then as late as it can be.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if foreign(real) => Ok(Fate::Foreign),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(temporary, real).doing(doing).map(|()| Fate::Changed)
        }
        Err(error) => Err(Error::io(doing(), error)),
    }
}

/// Gives its place back to what somebody else wrote, and to what they write while that is done:
/// until what comes out is ours.
fn back(temporary: &Path, real: &Path, ours: &What) -> std::result::Result<(), Errno> {
    loop {
        renameat_with(CWD, temporary, CWD, real, RenameFlags::EXCHANGE)?;
        if entry::digest_at(temporary).is_ok_and(|digest| digest == ours.digest()) {
            return Ok(());
        }
    }
}

/// Moved aside first, since only what is out of others' reach can be compared for good.
fn delete(change: &Change, real: &Path, temporary: &Path) -> Result<Fate> {
    let doing = || format!("cannot remove {}", change.path);
    match fs::rename(real, temporary) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Fate::Changed),
        Err(e) => return Err(Error::io(doing(), e)),
    }
    if entry::digest_at(temporary).is_ok_and(|digest| digest == change.from) {
        return Ok(Fate::Changed);
    }
    match renameat_with(CWD, temporary, CWD, real, RenameFlags::NOREPLACE) {
        // What was saved since then is newer still.
        Ok(()) | Err(Errno::EXIST) => Ok(Fate::Foreign),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(temporary, real).doing(doing).map(|()| Fate::Foreign)
        }
        Err(error) => Err(Error::io(doing(), error)),
    }
}

/// `inside`, or with a number after it that makes the name free.
pub(crate) fn free(store: &Store, inside: &Path) -> PathBuf {
    let mut candidate = inside.to_owned();
    let mut count = 1;
    while fs::symlink_metadata(store.root.path(&candidate)).is_ok() {
        count += 1;
        candidate = PathBuf::from(format!("{}-{count}", inside.display()));
    }
    candidate
}

/// Moves a tree, to another file system by copying it whole before the original goes.
pub fn move_tree(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Ok(()) => return files::sync_parent(to),
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {}
        Err(e) => return Err(Error::io(format!("cannot move {} to {}", from.display(), to.display()), e)),
    }
    let partial = files::beside(to, "new");
    copy_tree(from, &partial)?;
    files::sync_file_system(&partial)?;
    fs::rename(&partial, to).doing(|| format!("cannot move {} to {}", from.display(), to.display()))?;
    files::sync_parent(to)?;
    files::remove_tree(from)
}

/// Copies a file, link or folder with owners, modes, times and attributes.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let (what, content) = entry::read(from)?;
    match (&what, content) {
        (What::Dir { meta }, _) => {
            fs::create_dir(to).doing(|| format!("cannot create {}", to.display()))?;
            for child in fs::read_dir(from).doing(|| format!("cannot list {}", from.display()))?.flatten() {
                copy_tree(&child.path(), &to.join(child.file_name()))?;
            }
            let dir = fs::File::open(to).doing(|| format!("cannot open {}", to.display()))?;
            files::apply(&dir, to, &meta.attributes())
        }
        (What::Other | What::Absent | What::Unreadable { .. }, _) => Ok(()),
        (_, content) => {
            let (path, from, folders) = (to.into(), "absent".into(), Vec::new());
            let change = Change { path, scope: Scope::Node, from, to: what, folders, content };
            write(to, &change)
        }
    }
}

fn cluster(store: &Store, change: &Change, now: Option<&[u8]>) -> Result<Fate> {
    let cluster = Cluster::new(&store.root, &store.node);
    let done = match (&change.to, &change.content, now) {
        (What::File { .. }, Some(bytes), _) => cluster.replace(change.path.as_path(), now, bytes),
        (What::Absent, _, Some(now)) => cluster.remove(change.path.as_path(), now),
        _ => Err(Error::new(format!("cannot put {} in place: its content is not at hand", change.path))),
    };
    match done {
        Err(error) if error.kind() == host::Kind::Refused => Ok(Fate::Foreign),
        done => done.map(|()| Fate::Changed),
    }
}
