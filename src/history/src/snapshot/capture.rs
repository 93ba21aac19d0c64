//! Taking a snapshot.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use host::cluster::State;
use host::{Cluster, Error, IoContext, Result, files};

use super::manifest::{Acceptance, MANIFEST, Manifest};
use super::{Snapshot, list};
use crate::entry::{self, Entry, What};
use crate::{Item, Provenance, Scope, Store, Use};

/// Room that a snapshot needs beyond its content: manifest, folders, the journal's next lines.
const SLACK_BYTES: u64 = 256 << 10;
const SLACK_INODES: u64 = 16;

/// What a snapshot is taken for.
#[derive(Debug, Clone, Default)]
pub struct Why {
    /// For a person.
    pub reason: String,
    /// Whether it undoes a going-back.
    pub undo: bool,
    /// Whether nothing of the package was ever here.
    pub first: bool,
    /// The installed version; empty if none.
    pub version: String,
    /// The effective phase, if known.
    pub phase: Option<String>,
    /// Whether a file of this node that can't be read is noted rather than an error: a removal
    /// must go on.
    pub lenient: bool,
}

/// The present state with the content of its plain files.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// What stands at each path.
    pub entries: Vec<Entry>,
    /// Content, in the order of `entries`; `None` for what has none.
    pub contents: Vec<Option<Vec<u8>>>,
}

impl Captured {
    /// What stands at `path`.
    pub fn state_of(&self, path: &Path) -> Option<&What> {
        self.entries.iter().find(|e| e.path.as_path() == path).map(|e| &e.what)
    }

    /// The content of the plain file at `path`.
    pub fn content_of(&self, path: &Path) -> Option<&[u8]> {
        let at = self.entries.iter().position(|e| e.path.as_path() == path)?;
        self.contents.get(at)?.as_deref()
    }
}

/// Reads everything that the store captures, as it is now.
pub fn present(store: &Store, lenient: bool) -> Result<Captured> {
    let mut out = Captured::default();
    let unmounted = Cluster::new(&store.root, &store.node).state() == State::Unmounted;
    for item in &store.items {
        let mut reader = Reader {
            store,
            item,
            lenient: lenient || item.scope == Scope::Cluster || item.usage == Use::Evidence,
            out: &mut out,
        };
        if unmounted && item.scope == Scope::Cluster {
            reader.push(Path::new(&item.path), What::Unreadable { why: "pmxcfs is not mounted".into() }, None);
        } else {
            reader.item()?;
        }
    }
    Ok(out)
}

struct Reader<'a> {
    store: &'a Store,
    item: &'a Item,
    lenient: bool,
    out: &'a mut Captured,
}

impl Reader<'_> {
    fn item(&mut self) -> Result<()> {
        match self.item.pattern() {
            Some((folder, _)) => {
                for path in self.children(folder)? {
                    if self.item.covers(&path) {
                        self.visit(&path)?;
                    }
                }
                Ok(())
            }
            None => self.visit(Path::new(self.item.path.trim_end_matches('/'))),
        }
    }

    /// One path and, for a folder, all below it.
    fn visit(&mut self, path: &Path) -> Result<()> {
        if self.out.entries.iter().any(|e| e.path.as_path() == path) {
            return Ok(()); // an earlier, more exact item has it
        }
        let (what, content) = match self.store.root.resolve(path).and_then(|real| entry::read(&real)) {
            Ok(read) => read,
            Err(error) if self.lenient => (What::Unreadable { why: error.to_string() }, None),
            Err(error) => return Err(error.context("cannot capture the present state")),
        };
        let is_dir = matches!(what, What::Dir { .. });
        self.push(path, what, content);
        if is_dir {
            for child in self.children(path)? {
                self.visit(&child)?;
            }
        }
        Ok(())
    }

    /// What a folder holds, sorted; a folder that isn't there holds nothing.
    fn children(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let real = self.store.root.resolve(folder.join("x"))?;
        let Some(real) = real.parent() else {
            return Ok(Vec::new());
        };
        let names = fs::read_dir(real)
            .and_then(|all| all.map(|e| e.map(|e| e.file_name())).collect::<std::io::Result<Vec<OsString>>>());
        match names {
            Ok(mut names) => {
                names.sort();
                Ok(names.into_iter().map(|n| folder.join(n)).collect())
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(_) if self.lenient => Ok(Vec::new()),
            Err(e) => Err(Error::io(format!("cannot list {}", folder.display()), e)),
        }
    }

    fn push(&mut self, path: &Path, what: What, content: Option<Vec<u8>>) {
        let rest = match self.item.pattern() {
            Some((folder, _)) => path.strip_prefix(folder),
            None => path.strip_prefix(self.item.path.trim_end_matches('/')),
        }
        .unwrap_or(Path::new(""));
        let name = if rest.as_os_str().is_empty() {
            PathBuf::from(&self.item.name)
        } else {
            Path::new(&self.item.name).join(rest)
        };
        self.out.entries.push(Entry {
            path: path.into(),
            name: name.into(),
            scope: self.item.scope,
            usage: self.item.usage,
            what,
        });
        self.out.contents.push(content);
    }
}

/// Takes a snapshot of `state` and makes it durable. The caller holds the store's lock.
pub fn capture(store: &Store, state: &Captured, why: &Why) -> Result<Snapshot> {
    capture_knowing(store, state, why, &Provenance::read(&store.journal()))
}

/// The same for who has read the journal.
pub(crate) fn capture_knowing(store: &Store, state: &Captured, why: &Why, provenance: &Provenance) -> Result<Snapshot> {
    store.prepare()?;
    let backups = store.backups();
    check_room(&backups, state)?;
    let existing = list(store)?;
    let sequence = existing.iter().filter_map(|s| s.manifest.as_ref().ok()).map(|m| m.sequence).max().unwrap_or(0) + 1;
    let now = store.clock.now();
    let id = free_name(&backups, &now.compact());
    let manifest = Manifest {
        format: 1,
        id: id.clone(),
        sequence,
        created: now.seconds(),
        reason: why.reason.clone(),
        undo: why.undo,
        first: why.first,
        package: store.package.clone(),
        version: why.version.clone(),
        phase: why.phase.clone(),
        node: store.node.clone(),
        acceptance: acceptance(provenance, &state.entries),
        items: store.items.clone(),
        entries: state.entries.clone(),
    };
    let temporary = backups.join(format!(".new.{}.{id}", std::process::id()));
    let published = write(&temporary, state, &manifest).and_then(|()| publish(&backups, &temporary, &id, why.undo));
    if let Err(error) = published {
        // The first error is the one to tell; the next run sweeps what can't go now.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error.context(format!("cannot take a snapshot in {}", store.state.join("backups").display())));
    }
    Ok(Snapshot { path: backups.join(&id), id, manifest: Ok(manifest) })
}

/// A state is accepted if every file that could be written back is.
fn acceptance(provenance: &Provenance, entries: &[Entry]) -> Acceptance {
    let trial: Vec<String> = entries
        .iter()
        .filter(|e| e.usage != Use::Evidence && provenance.on_trial(e.path.as_path(), &e.what.digest()).is_some())
        .map(|e| e.path.to_string())
        .collect();
    match (provenance, trial.is_empty()) {
        (Provenance::Unknown { why }, _) => {
            Acceptance { accepted: true, why: format!("nothing is known of Rust writes: {why}") }
        }
        (_, true) => Acceptance { accepted: true, why: "no file in it is a Rust write on trial".into() },
        (_, false) => Acceptance { accepted: false, why: format!("on trial: {}", trial.join(", ")) },
    }
}

fn check_room(backups: &Path, state: &Captured) -> Result<()> {
    let need: u64 =
        state.contents.iter().flatten().map(|c| (c.len() as u64).next_multiple_of(4096)).sum::<u64>() + SLACK_BYTES;
    let inodes = state.entries.len() as u64 + SLACK_INODES;
    let (bytes, free_inodes) = files::free_room(backups)?;
    if bytes < need || free_inodes < inodes {
        return Err(Error::new(format!(
            "no room for a snapshot in {}: {} KiB and {inodes} inodes needed, {} KiB and {free_inodes} free",
            backups.display(),
            need / 1024,
            bytes / 1024
        ))
        .way_out("free some and run the command again"));
    }
    Ok(())
}

fn free_name(backups: &Path, stamp: &str) -> String {
    let taken = |name: &str| fs::symlink_metadata(backups.join(name)).is_ok();
    if !taken(stamp) {
        return stamp.to_owned();
    }
    (2..)
        .map(|n| format!("{stamp}-{n}"))
        .find(|name| !taken(name))
        .unwrap_or_else(|| unreachable!("names never run out"))
}

fn write(folder: &Path, state: &Captured, manifest: &Manifest) -> Result<()> {
    make_dir(folder)?;
    for (entry, content) in state.entries.iter().zip(&state.contents) {
        let to = folder.join(entry.name.as_path());
        match (&entry.what, content) {
            (What::File { meta, .. }, Some(bytes)) => {
                make_parents(folder, &to)?;
                let mut file = files::create_new(&to)?;
                file.write_all(bytes).doing(|| format!("cannot write {}", to.display()))?;
                // As the original, so that a person's `cp -a` is right; the folder around is private.
                let like = |owner| files::Attributes {
                    mode: meta.mode & 0o777,
                    owner,
                    mtime: Some(meta.mtime),
                    xattrs: Vec::new(),
                };
                // Only root can give files away; the manifest has the owner in any case.
                files::apply(&file, &to, &like(Some((meta.uid, meta.gid))))
                    .or_else(|_| files::apply(&file, &to, &like(None)))?;
            }
            (What::Dir { .. }, _) => make_parents(folder, &to.join("x"))?,
            (What::Link { target, .. }, _) => {
                make_parents(folder, &to)?;
                symlink(target.as_path(), &to).doing(|| format!("cannot create {}", to.display()))?;
            }
            _ => {}
        }
    }
    let path = folder.join(MANIFEST);
    let mut file = files::create_new(&path)?;
    file.write_all(&manifest.render()?).doing(|| format!("cannot write {}", path.display()))?;
    drop(file);
    // One call for all of it: five times quicker than fsync per file at 1,000 files.
    files::sync_file_system(folder)
}

fn make_parents(folder: &Path, to: &Path) -> Result<()> {
    match to.parent() {
        Some(parent) if parent != folder && !parent.is_dir() => {
            make_parents(folder, parent)?;
            make_dir(parent)
        }
        _ => Ok(()),
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir).doing(|| format!("cannot create {}", dir.display()))
}

/// Makes the snapshot visible, and `latest` point to it.
fn publish(backups: &Path, temporary: &Path, id: &str, undo: bool) -> Result<()> {
    let path = backups.join(id);
    fs::rename(temporary, &path).doing(|| format!("cannot publish {}", path.display()))?;
    if !undo {
        let (link, latest) = (backups.join(format!(".latest.{}", std::process::id())), backups.join("latest"));
        files::remove(&link)?;
        symlink(id, &link).doing(|| format!("cannot create {}", link.display()))?;
        fs::rename(&link, &latest).doing(|| format!("cannot replace {}", latest.display()))?;
    }
    files::sync_dir(backups)
}
