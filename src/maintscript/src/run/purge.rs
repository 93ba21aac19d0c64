//! Purge: no trace (Debian Policy 10.8), and nothing lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use history::{Snapshot, Store, What, snapshot};
use host::cluster::State;
use host::{Cluster, Result, files};

use super::Runner;

impl Runner<'_> {
    pub(super) fn purge(&mut self) -> Result<()> {
        let store = self.cx.store.clone();
        if store.path("").is_dir() {
            self.need_lock()?;
        }
        // Each for itself: what can't go bars nothing else.
        let log = self.cx.policy.log.as_ref().map_or(Ok(()), |log| files::remove_tree(&self.cx.root.path(log)));
        for done in [self.remove_phase_file(), log, self.remove_links()] {
            if let Err(error) = done {
                self.say(error);
            }
        }
        // But nothing unique goes with the rest.
        rescue(&store, self.cx.policy.phase.as_ref().map(|p| p.file.as_path()), &mut |line| self.say(line))?;
        self.remove_state(&store)
    }

    /// On a machine without pmxcfs the file is ours alone; in a cluster it is the cluster's.
    fn remove_phase_file(&self) -> Result<()> {
        let Some((switch, _)) = &self.cx.switch else { return Ok(()) };
        if Cluster::new(&self.cx.root, &switch.node).state() != State::Plain {
            return Ok(());
        }
        let made = self.made();
        for file in &made.files {
            files::remove(&self.cx.root.resolve(file)?)?;
        }
        for folder in made.folders.iter().rev() {
            // One that somebody else uses by now stays.
            let _ = fs::remove_dir(self.cx.root.path(folder));
        }
        Ok(())
    }

    /// Links by which an admin enabled our units; a mask is the admin's own and stays.
    fn remove_links(&self) -> Result<()> {
        let system = self.cx.root.path("/etc/systemd/system");
        let Ok(entries) = fs::read_dir(&system) else { return Ok(()) };
        for folder in entries.flatten().map(|e| e.path()) {
            let kind = folder.extension().unwrap_or_default();
            if kind != "wants" && kind != "requires" && kind != "upholds" {
                continue;
            }
            for unit in &self.cx.policy.units {
                if fs::symlink_metadata(folder.join(unit)).is_ok_and(|m| m.is_symlink()) {
                    files::remove(&folder.join(unit))?;
                }
            }
            // Only if that emptied it, and then it was made for the link.
            if self
                .cx
                .policy
                .units
                .iter()
                .any(|u| u.starts_with(&*folder.file_stem().unwrap_or_default().to_string_lossy()))
            {
                let _ = fs::remove_dir(&folder);
            }
        }
        Ok(())
    }

    /// Everything but what operators put aside themselves.
    fn remove_state(&mut self, store: &Store) -> Result<()> {
        let state = store.path("");
        if !state.is_dir() {
            return files::remove_tree(&state);
        }
        snapshot::hide_all(store)?;
        let Ok(entries) = fs::read_dir(&state) else { return Ok(()) };
        let manual = store.manual_backups();
        // Last of all, so that no writer gets in before everything else is gone; and without a lock none does.
        let last = ["lock", "fence"].map(|name| store.path(name));
        let rest = entries.flatten().map(|e| e.path()).filter(|p| *p != manual && !last.contains(p));
        // What can't go bars nothing else here either; the lock stays with it.
        rest.map(|path| files::remove_tree(&path)).fold(Ok(()), Result::and)?;
        for path in &last {
            files::remove(path)?;
        }
        self.lock = None;
        if fs::remove_dir(&manual).is_err() && manual.exists() {
            self.say(format_args!("{} is yours and stays", store.state.join("manual-backups").display()));
        }
        // Not empty means that manual backups stay.
        match fs::remove_dir(&state) {
            Ok(()) => files::sync_parent(&state),
            Err(_) => files::sync_dir(&state),
        }
    }
}

/// Moves every snapshot that holds content found nowhere else to `/var/backups/<package>/`.
fn rescue(store: &Store, phase_file: Option<&Path>, say: &mut dyn FnMut(String)) -> Result<()> {
    let mut known = elsewhere(store);
    let mut all = snapshot::list(store)?;
    // The newest first, so that older copies of the same content are not needed.
    all.reverse();
    for found in all {
        let unique = unique(store, &found, phase_file, &known);
        if unique.is_empty() {
            continue;
        }
        files::create_dirs(&store.root.path("/var/backups"), 0o755)?;
        files::create_dirs(&store.root.path(store.attic()), 0o700)?;
        let inside = store.attic().join(format!("snapshot-{}", found.id));
        let to = store.root.path(&inside);
        files::remove_tree(&to)?; // from a purge that was killed half-way
        history::move_tree(&found.path, &to)?;
        say(format!("snapshot {} holds what is nowhere else and was moved to {}", found.id, inside.display()));
        known.extend(unique);
    }
    Ok(())
}

/// Digests of all content that manual backups and the attic hold.
fn elsewhere(store: &Store) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let mut todo: Vec<PathBuf> = vec![store.manual_backups(), store.root.path(store.attic())];
    while let Some(path) = todo.pop() {
        match history::read(&path) {
            Ok((What::Dir { .. }, _)) => {
                todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|e| e.path()))
            }
            Ok((what @ What::File { .. }, _)) => {
                known.insert(what.digest());
            }
            _ => {}
        }
    }
    known
}

/// What a snapshot holds that is neither where it came from nor in `known`. A snapshot that can't
/// be read is unique: nobody can say what is in it.
fn unique(store: &Store, found: &Snapshot, phase_file: Option<&Path>, known: &BTreeSet<String>) -> BTreeSet<String> {
    let Ok(manifest) = &found.manifest else { return [format!("unreadable {}", found.id)].into() };
    let mut out = BTreeSet::new();
    for entry in &manifest.entries {
        let What::File { sha256, size, .. } = &entry.what else { continue };
        // Our own phase file is state, which purge removes; an empty file holds nothing.
        if Some(entry.path.as_path()) == phase_file || *size == 0 || known.contains(sha256) {
            continue;
        }
        let now = store.root.resolve(entry.path.as_path()).and_then(|path| history::digest_at(&path));
        if now.ok().as_ref() != Some(sha256) {
            out.insert(sha256.clone());
        }
    }
    out
}
