//! Is what a script did on disk when it says that it is done? Watched call by call, since a machine
//! in memory can't lose its page cache.
//!
//! Two rules: what gets its final name by a rename has its content synced before; and at exit 0 no
//! content and no name is waiting to be written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::syscalls::Effect;
use crate::trace::Event;

/// What is not yet on disk, below the watched folders.
#[derive(Debug, Default)]
pub struct Model {
    watched: Vec<PathBuf>,
    content: BTreeSet<PathBuf>,
    names: BTreeSet<PathBuf>,
    /// Names that came before their content, and what to say of them unless they turn out to lie in a
    /// folder that nobody saw before it got a name of its own.
    early: Vec<(PathBuf, String)>,
    /// What broke a rule.
    pub complaints: Vec<String>,
}

impl Model {
    /// Watches what lies below these folders.
    pub fn watching(watched: Vec<PathBuf>) -> Self {
        Self { watched, ..Self::default() }
    }

    fn watches(&self, path: &Path) -> bool {
        self.watched.iter().any(|w| path.starts_with(w))
    }

    /// A call has succeeded.
    pub fn note(&mut self, event: &Event) {
        let path = PathBuf::from(&event.path);
        match event.known.effect {
            Effect::Write if self.watches(&path) => {
                self.content.insert(path);
            }
            Effect::Create if self.watches(&path) => self.name_changed(&path),
            Effect::Rename => self.renamed(&path, Path::new(&event.to)),
            Effect::Remove => {
                self.content.retain(|p| !p.starts_with(&path));
                self.names.retain(|p| !p.starts_with(&path));
            }
            Effect::Sync => match event.known.name {
                "fsync" | "fdatasync" => {
                    self.content.remove(&path);
                    self.names.remove(&path);
                }
                "syncfs" | "sync" => {
                    self.content.clear();
                    self.names.clear();
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn name_changed(&mut self, path: &Path) {
        if let Some(folder) = path.parent() {
            self.names.insert(folder.to_owned());
        }
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        if !self.watches(to) {
            return;
        }
        let moved = |set: &BTreeSet<PathBuf>| -> BTreeSet<PathBuf> {
            let there = |p: &PathBuf| p.strip_prefix(from).map_or_else(|_| p.clone(), |rest| join(to, rest));
            set.iter().map(there).collect()
        };
        self.early.retain(|(name, _)| name == from || !name.starts_with(from));
        if let Some(early) = self.content.iter().find(|p| p.starts_with(from)) {
            let said = format!("{} got its name before {} was on disk", to.display(), early.display());
            self.early.push((to.to_owned(), said));
        }
        (self.content, self.names) = (moved(&self.content), moved(&self.names));
        self.name_changed(to);
    }

    /// A script begins: what one before left undone, since it was killed, is not this one's.
    pub fn begins(&mut self) {
        self.complaints.extend(self.early.drain(..).map(|(_, said)| said));
        self.content.clear();
        self.names.clear();
    }

    /// A script exits.
    pub fn exits(&mut self, label: &str, code: i32) {
        if code == 0 {
            for path in &self.content {
                self.complaints.push(format!("{label} says done before {} is on disk", path.display()));
            }
            for path in &self.names {
                self.complaints.push(format!("{label} says done before the names in {} are on disk", path.display()));
            }
        }
        self.begins();
    }
}

/// Without a slash at the end where nothing is to be joined.
fn join(to: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::KNOWN;

    fn event(name: &str, path: &str, to: &str) -> Event {
        let known = KNOWN.iter().find(|k| k.name == name).unwrap();
        Event {
            label: "x".into(),
            number: 1,
            known,
            path: path.into(),
            to: to.into(),
            length: 1,
            address: 0,
            process: 1,
        }
    }

    /// Calls separated by `;`, then what is complained of at exit 0.
    fn complaints(calls: &str) -> Vec<String> {
        let mut model = Model::watching(vec!["/s".into()]);
        for call in calls.split(';').map(str::trim) {
            let words: Vec<&str> = call.split(' ').collect();
            model.note(&event(words[0], words[1], words.get(2).unwrap_or(&"")));
        }
        model.exits("x", 0);
        model.complaints
    }

    #[test]
    fn a_careful_replacement_is_fine() {
        assert!(complaints("write /s/.f; fsync /s/.f; rename /s/.f /s/f; fsync /s").is_empty());
        assert!(complaints("mkdir /s/.d; write /s/.d/f; syncfs /s/.d; rename /s/.d /s/d; fsync /s").is_empty());
        assert!(
            complaints("mkdir /s/.d; write /s/.d/.f; rename /s/.d/.f /s/.d/f; syncfs /s; rename /s/.d /s/d; fsync /s")
                .is_empty()
        );
        assert!(complaints("write /elsewhere; rename /x /y; write output").is_empty());
    }

    #[test]
    fn a_careless_one_is_not() {
        for (calls, said) in [
            ("write /s/.f; rename /s/.f /s/f; fsync /s/f; fsync /s", "got its name before"),
            ("write /s/.d/f; fsync /s/.d; rename /s/.d /s/d; syncfs /s", "got its name before"),
            ("write /s/.f; fsync /s/.f; rename /s/.f /s/f", "names in /s are"),
            ("write /s/f", "before /s/f is"),
        ] {
            let all = complaints(calls);
            assert!(all.iter().any(|c| c.contains(said)), "{calls}: {all:?}");
        }
    }
}
