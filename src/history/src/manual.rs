//! Backups that operators make by hand, with plain `rsync -a` and no manifest.
//!
//! Two layouts are understood: flat names as in a snapshot (`rsync -a /etc/network/interfaces
//! /etc/pve/sdn DIR/`), and whole paths (`rsync -aR /etc/network /etc/pve/sdn DIR/`). What such a
//! backup does not hold it says nothing about: it is neither restored nor deleted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result, files};

use crate::entry::{self, Entry};
use crate::plan::Candidate;
use crate::snapshot::{self, Acceptance, MANIFEST};
use crate::{Item, Manifest, PathText, Store};

/// A backup without a manifest.
#[derive(Debug)]
pub struct Manual {
    /// Its folder.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// When the folder was last changed: seconds since the epoch.
    pub changed: i64,
    /// What it holds that can be restored.
    pub entries: Vec<Entry>,
    /// What it holds besides, by name.
    pub unknown: Vec<PathText>,
}

/// All manual backups, by name. Those with a manifest of ours are listed as well.
pub fn list(store: &Store) -> Result<Vec<Manual>> {
    let folder = store.manual_backups();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(format!("cannot list {}", folder.display()), e)),
    };
    let mut all = Vec::new();
    for entry in entries.flatten().filter(|e| e.path().is_dir()) {
        all.push(read(store, &entry.path())?);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Reads one manual backup.
pub fn read(store: &Store, folder: &Path) -> Result<Manual> {
    let meta = fs::metadata(folder).doing(|| format!("cannot read {}", folder.display()))?;
    let mut out = Manual {
        path: folder.to_owned(),
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        changed: files::mtime_of(&meta).0,
        entries: Vec::new(),
        unknown: Vec::new(),
    };
    walk(store, folder, Path::new(""), &mut out)?;
    Ok(out)
}

fn walk(store: &Store, folder: &Path, below: &Path, out: &mut Manual) -> Result<()> {
    let dir = folder.join(below);
    let mut names: Vec<_> = fs::read_dir(&dir)
        .doing(|| format!("cannot list {}", dir.display()))?
        .flatten()
        .map(|e| e.file_name())
        .collect();
    names.sort();
    for name in names {
        let name = below.join(name);
        let (what, _) = entry::read(&folder.join(&name))?;
        if matches!(what, crate::What::Dir { .. }) {
            walk(store, folder, &name, out)?;
        } else if let Some((item, path)) = locate(&store.items, &name) {
            let (path, name) = (path.into(), name.into());
            out.entries.push(Entry { path, name, scope: item.scope, usage: item.usage, what });
        } else if name != Path::new(MANIFEST) {
            out.unknown.push(name.into());
        }
    }
    Ok(())
}

fn locate<'a>(items: &'a [Item], name: &Path) -> Option<(&'a Item, PathBuf)> {
    let whole = Path::new("/").join(name);
    let by_path = items.iter().find(|i| i.covers(&whole)).map(|i| (i, whole));
    by_path.or_else(|| items.iter().find_map(|i| i.path_of(name).map(|path| (i, path))))
}

/// A manual backup as something to go back to. Without a manifest it covers just what it holds.
pub fn candidate(store: &Store, id: &str) -> Result<Candidate> {
    let folder = store.path(id);
    let found = snapshot::load_any(&folder);
    let (manifest, distrust) = match found.manifest {
        Ok(_) => {
            let distrust = snapshot::verify(&found).err().map(|e| e.to_string());
            (found.manifest?, distrust)
        }
        Err(_) if folder.join(MANIFEST).exists() => {
            return Err(found.manifest.err().unwrap_or_else(|| Error::new("damaged")));
        }
        Err(_) => (without_manifest(store, &read(store, &folder)?), None),
    };
    Ok(Candidate::judged(folder, Manifest { id: id.to_owned(), ..manifest }, distrust))
}

fn without_manifest(store: &Store, manual: &Manual) -> Manifest {
    Manifest {
        format: 1,
        id: manual.name.clone(),
        sequence: 0,
        created: manual.changed,
        reason: "made by hand".into(),
        undo: false,
        first: false,
        package: store.package.clone(),
        version: String::new(),
        phase: None,
        node: store.node.clone(),
        acceptance: Acceptance { accepted: true, why: "made by hand".into() },
        items: Vec::new(),
        entries: manual.entries.clone(),
    }
}
