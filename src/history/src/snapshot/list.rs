//! Finding snapshots, and telling whether one can be trusted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use host::{Error, Result, Timestamp, files};

use super::manifest::{LIMIT, MANIFEST, Manifest};
use crate::Store;
use crate::entry::{self, Entry, What};

/// A snapshot as found on disk.
#[derive(Debug)]
pub struct Snapshot {
    /// Its folder.
    pub path: PathBuf,
    /// Its name.
    pub id: String,
    /// Its manifest, or why that can't be used.
    pub manifest: Result<Manifest>,
}

/// All snapshots, oldest first. One whose manifest is unusable stands where its name puts it.
pub fn list(store: &Store) -> Result<Vec<Snapshot>> {
    let mut all = Vec::new();
    for id in names(&store.backups())? {
        all.push(load(&store.backups().join(&id), &id));
    }
    all.sort_by(|a, b| match (&a.manifest, &b.manifest) {
        (Ok(a), Ok(b)) => a.sequence.cmp(&b.sequence),
        _ => a.id.cmp(&b.id),
    });
    Ok(all)
}

/// Reads one snapshot's manifest, which must be that of `id`.
pub fn load(path: &Path, id: &str) -> Snapshot {
    let mut snapshot = load_any(path);
    id.clone_into(&mut snapshot.id);
    snapshot.manifest = snapshot
        .manifest
        .and_then(|m| if m.id == id { Ok(m) } else { Err(Error::new(format!("its {MANIFEST} is that of {}", m.id))) })
        .map_err(|e| e.context(format!("snapshot {id} can't be trusted")));
    snapshot
}

/// Reads the manifest in a folder of any name, such as a copy that was put aside.
pub fn load_any(path: &Path) -> Snapshot {
    let manifest = match files::read_plain(&path.join(MANIFEST), LIMIT) {
        Ok(Some(bytes)) => Manifest::parse(&bytes),
        Ok(None) => Err(Error::new(format!("it has no {MANIFEST}"))),
        Err(error) => Err(error),
    };
    let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Snapshot { path: path.to_owned(), id, manifest }
}

/// Names that look like a snapshot's: a time stamp, perhaps with `-N`.
fn names(backups: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(backups) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(format!("cannot list {}", backups.display()), e)),
    };
    let mut names = Vec::new();
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let stamp = name.get(..15).unwrap_or_default();
        let rest = name.get(15..).unwrap_or("?");
        let numbered = rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok());
        if Timestamp::parse_compact(stamp).is_some() && numbered {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Compares every file of a snapshot with its manifest. What this accepts may be written back.
pub fn verify(snapshot: &Snapshot) -> Result<()> {
    let manifest = snapshot.manifest.as_ref().map_err(|e| Error::new(e.to_string()))?;
    distrust(&snapshot.path, manifest).map_or(Ok(()), |why| Err(Error::new(why)))
}

/// Why the files in `folder` are not what the manifest says; `None` if they are.
pub(crate) fn distrust(folder: &Path, manifest: &Manifest) -> Option<String> {
    let bad = |why: String| Some(format!("snapshot {} can't be trusted: {why}", manifest.id));
    for entry in &manifest.entries {
        if let Err(error) = check_entry(folder, entry) {
            return bad(error.to_string());
        }
    }
    let known =
        |name: &Path| manifest.entries.iter().any(|e| e.name.as_path() == name || e.name.as_path().starts_with(name));
    match stray(folder, Path::new(""), &known) {
        Ok(Some(name)) => bad(format!("{} is not in its manifest", name.display())),
        Ok(None) => None,
        Err(error) => bad(error.to_string()),
    }
}

fn check_entry(folder: &Path, entry: &Entry) -> Result<()> {
    let path = folder.join(entry.name.as_path());
    match &entry.what {
        What::File { sha256, .. } => {
            let now = entry::digest_at(&path)?;
            if now == *sha256 {
                return Ok(());
            }
            let how = if now == "absent" { "is missing" } else { "was altered" };
            Err(Error::new(format!("{} {how}", entry.name)))
        }
        What::Link { target, .. } if fs::read_link(&path).ok().as_deref() != Some(target.as_path()) => {
            Err(Error::new(format!("{} was altered", entry.name)))
        }
        What::Dir { .. } if !path.is_dir() => Err(Error::new(format!("{} is missing", entry.name))),
        _ => Ok(()),
    }
}

/// The first name in the folder that the manifest does not know.
fn stray(folder: &Path, below: &Path, known: &dyn Fn(&Path) -> bool) -> Result<Option<PathBuf>> {
    let dir = folder.join(below);
    let entries = fs::read_dir(&dir).map_err(|e| Error::io(format!("cannot list {}", dir.display()), e))?;
    for entry in entries.flatten() {
        let name = below.join(entry.file_name());
        if name == Path::new(MANIFEST) {
            continue;
        }
        if !known(&name) {
            return Ok(Some(name));
        }
        if entry.file_type().is_ok_and(|t| t.is_dir())
            && let Some(found) = stray(folder, &name, known)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
