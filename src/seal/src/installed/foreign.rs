//! What lies in a package's own folders and is nobody's: a module that its programs would load, left
//! there by an attacker or by a hand.
//!
//! A folder is the package's own if it lies below `/usr` and has the package's name. `/etc` and `/var`
//! are the admin's and the programs'. Only who asks is told, never `postinst`: an admin's extra file must
//! not make an upgrade fail.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use host::{IoContext, Result, Root};

use super::diversions::Diversions;
use super::{Finding, Severity, is_document, optional};
use crate::escape;
use crate::manifest::{Kind, Manifest};

/// Everything in the package's own folders that neither its manifest nor any package's list has.
pub fn foreign_files(root: &Root, admindir: &Path, manifest: &Manifest) -> Result<Vec<Finding>> {
    let diversions = Diversions::read(&admindir.join("diversions"))?;
    let paths = manifest.payload.iter().map(|e| (e.kind, e.path_bytes()));
    let ours: HashSet<Vec<u8>> =
        paths.clone().flat_map(|(_, path)| [diversions.place(&path, &manifest.package), path]).collect();
    let own = |path: &[u8]| {
        path.starts_with(b"/usr/") && path.rsplit(|b| *b == b'/').next() == Some(manifest.package.as_bytes())
    };
    let mut found = Vec::new();
    for (_, folder) in paths.filter(|(kind, path)| *kind == Kind::Dir && own(path)) {
        walk(root, folder, &ours, &mut found)?;
    }
    // Rarely anything is left, and so the lists of all packages are rarely read.
    if !found.is_empty() {
        let others = listed(admindir)?;
        found.retain(|path| !others.contains(path));
    }
    found.sort();
    let finding = |path: Vec<u8>| Finding {
        severity: if is_document(&path) { Severity::Warning } else { Severity::Error },
        path: escape::escape(&path),
        what: "is in a folder of this package and belongs to no package".to_owned(),
    };
    Ok(found.into_iter().map(finding).collect())
}

/// Links are not followed: what is behind them is not in the folder.
fn walk(root: &Root, folder: Vec<u8>, ours: &HashSet<Vec<u8>>, found: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut todo = vec![folder];
    while let Some(folder) = todo.pop() {
        let real = root.resolve(PathBuf::from(OsString::from_vec(folder.clone())))?;
        let doing = || format!("cannot list {}", real.display());
        let entries = match fs::read_dir(&real) {
            Err(e) if super::is_absent(&e) => continue, // the comparison tells
            other => other.doing(doing)?,
        };
        for entry in entries {
            let entry = entry.doing(doing)?;
            let path = [&folder[..], b"/", entry.file_name().as_bytes()].concat();
            let known = ours.contains(&path);
            if !known {
                found.push(path.clone());
            }
            if entry.file_type().doing(doing)?.is_dir() {
                todo.push(path);
            }
        }
    }
    Ok(())
}

/// Every path of every installed package.
fn listed(admindir: &Path) -> Result<HashSet<Vec<u8>>> {
    let info = admindir.join("info");
    let doing = || format!("cannot list {}", info.display());
    let mut all = HashSet::new();
    for entry in fs::read_dir(&info).doing(doing)? {
        let path = entry.doing(doing)?.path();
        if path.extension().is_some_and(|ending| ending == "list") {
            let bytes = optional(&path)?.unwrap_or_default();
            all.extend(bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec));
        }
    }
    Ok(all)
}
