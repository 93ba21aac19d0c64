//! A write of network configuration by another program that we call, such as Proxmox's Perl.
//!
//! ```text
//! begin: lock, fence, snapshot ─► announce: journal ─► the program runs ─► finish: what differs ─► journal
//! ```
//!
//! [`Operation`](crate::Operation) writes itself and knows beforehand what it will write. Here only
//! a part is known beforehand (Proxmox renames `interfaces.new`), the rest (what it generates) is
//! seen afterwards. Whose a content is goes by who wrote *it*, not by who put it in place: a pending
//! file that Rust wrote and that is on trial stays on trial when Perl renames it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use host::{Lock, Result};

use crate::journal::{Backend, Event, Outcome, Written};
use crate::snapshot::{self, Captured};
use crate::{PathText, Provenance, Scope, Store, Use, Why, new_id, transaction};

/// How long it waits for another writer of ours.
const PATIENCE: Duration = Duration::from_secs(30);

/// A run of another program, from the snapshot before it to the journal after it.
#[derive(Debug)]
pub struct Watched<'a> {
    store: &'a Store,
    tool: String,
    phase: String,
    began: Instant,
    before: Captured,
    snapshot: String,
    /// Operations whose end is still to be written.
    open: Vec<String>,
    announced: BTreeMap<PathText, Written>,
    _lock: Lock,
}

/// What a watched run left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The operation's id in the journal.
    pub id: String,
    /// Files of this node that differ from before.
    pub changed: Vec<PathText>,
    /// The snapshot from before.
    pub snapshot: String,
    /// In milliseconds.
    pub duration_ms: u64,
}

impl<'a> Watched<'a> {
    /// Waits for other writers of ours, at most 30 s, and takes a snapshot. An earlier run that was
    /// killed is closed as failed; its id is returned.
    ///
    /// # Errors
    /// [`host::Kind::Refused`] while the package is being removed.
    pub fn begin(store: &'a Store, tool: &str, phase: &str) -> Result<(Self, Vec<String>)> {
        let lock = store.enter(PATIENCE)?;
        let killed = close_killed(store, tool)?;
        // Lenient: it is the way back, and a file that can't be read is none that this is about to write.
        let before = snapshot::present(store, true)?;
        let reason = format!("{tool} applies");
        let why = Why { reason, phase: Some(phase.to_owned()), lenient: true, ..Why::default() };
        let snapshot = snapshot::capture(store, &before, &why)?.id;
        let (tool, phase) = (tool.to_owned(), phase.to_owned());
        let announced = BTreeMap::new();
        let began = Instant::now();
        Ok((Self { store, tool, phase, began, before, snapshot, open: Vec::new(), announced, _lock: lock }, killed))
    }

    /// What stood there before.
    pub fn before(&self) -> &Captured {
        &self.before
    }

    /// Records what the program is about to do, as far as that is known: its *moves* of one file
    /// over another. Moved content that is on trial stays so.
    pub fn announce(&mut self, moves: &[(&Path, &Path)]) -> Result<()> {
        let digest = |path: &Path| self.before.state_of(path).map_or_else(|| "absent".to_owned(), crate::What::digest);
        let provenance = Provenance::read(&self.store.journal());
        let (mut rust, mut legacy) = (BTreeMap::new(), BTreeMap::new());
        for (from, to) in moves {
            let (moved, stood) = (digest(from), digest(to));
            let of = if provenance.on_trial(from, &moved).is_some() { &mut rust } else { &mut legacy };
            of.insert(PathText::from(*to), Written { before: stood, after: moved.clone() });
            of.insert(PathText::from(*from), Written { before: moved, after: "absent".into() });
        }
        self.announced = rust.iter().chain(&legacy).map(|(p, w)| (p.clone(), w.clone())).collect();
        if !rust.is_empty() {
            self.journal(Backend::Rust, rust)?;
        }
        // Always: its duration is the baseline, also where nothing was pending.
        self.journal(Backend::Legacy, legacy)?;
        self.began = Instant::now();
        Ok(())
    }

    fn journal(&mut self, backend: Backend, paths: BTreeMap<PathText, Written>) -> Result<()> {
        let id = new_id(self.store);
        self.store.journal().append(&Event::Begin {
            id: id.clone(),
            time: self.store.clock.now().seconds(),
            backend,
            tool: self.tool.clone(),
            phase: self.phase.clone(),
            snapshot: Some(self.snapshot.clone()),
            transaction: transaction::Transaction::read(self.store)?.filter(|t| t.is_open()).map(|t| t.id),
            paths,
        })?;
        self.open.push(id);
        Ok(())
    }

    /// Records how it ended, and what it wrote that nobody had announced.
    pub fn finish(mut self, outcome: Outcome) -> Result<Seen> {
        let duration_ms = self.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let after = snapshot::present(self.store, true)?;
        let changes = differences(&self.before, &after);
        let changed = changes.keys().cloned().collect();
        let unannounced: BTreeMap<_, _> =
            changes.into_iter().filter(|(path, seen)| self.announced.get(path) != Some(seen)).collect();
        let id = self.open.last().cloned().unwrap_or_default();
        if !unannounced.is_empty() {
            self.journal(Backend::Legacy, unannounced)?;
        }
        for open in &self.open {
            // Only the announced run has a duration that means anything; the others are its notes.
            let duration_ms = if *open == id { duration_ms } else { 0 };
            let time = self.store.clock.now().seconds();
            self.store.journal().append(&Event::End { id: open.clone(), time, duration_ms, outcome })?;
        }
        // What was to be done is done; that an old snapshot could not be forgotten is no failure of it.
        let _ = snapshot::prune(self.store, std::slice::from_ref(&self.snapshot));
        Ok(Seen { id, changed, snapshot: self.snapshot, duration_ms })
    }
}

/// Files of this node whose content differs; the cluster's may change at any time by anyone.
fn differences(before: &Captured, after: &Captured) -> BTreeMap<PathText, Written> {
    let ours = |e: &&crate::Entry| e.scope == Scope::Node && e.usage != Use::Evidence;
    let digests = |of: &Captured| -> BTreeMap<PathText, String> {
        of.entries.iter().filter(ours).map(|e| (e.path.clone(), e.what.digest())).collect()
    };
    let (before, after) = (digests(before), digests(after));
    let mut out = BTreeMap::new();
    for path in before.keys().chain(after.keys()) {
        let of = |digests: &BTreeMap<PathText, String>| digests.get(path).cloned().unwrap_or_else(|| "absent".into());
        let written = Written { before: of(&before), after: of(&after) };
        // What can't be read now was not necessarily written.
        if written.before != written.after && ![&written.before, &written.after].iter().any(|d| *d == "unreadable") {
            out.insert(path.clone(), written);
        }
    }
    out
}

/// Ends what a killed run of `tool` left open. The lock is ours, so it is not running any more.
fn close_killed(store: &Store, tool: &str) -> Result<Vec<String>> {
    let journal = store.journal();
    let mut killed = Vec::new();
    journal.each(&mut |event| match event {
        Event::Begin { id, backend: Backend::Legacy, tool: by, .. } if by == tool => killed.push(id),
        Event::End { id, .. } => killed.retain(|open| *open != id),
        _ => {}
    })?;
    for id in &killed {
        let time = store.clock.now().seconds();
        journal.append(&Event::End { id: id.clone(), time, duration_ms: 0, outcome: Outcome::Failed })?;
    }
    Ok(killed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Item, Operation};
    use host::{Clock, Root};

    const MAIN: &str = "/etc/network/interfaces";
    const NEW: &str = "/etc/network/interfaces.new";
    const SDN: &str = "/etc/network/interfaces.d";

    struct Rig(#[expect(dead_code, reason = "the folder goes with it")] tempfile::TempDir, Store);

    fn rig() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let item =
            |path: &str, usage| Item { path: path.into(), name: Item::usual_name(path), scope: Scope::Node, usage };
        let store = Store {
            root,
            package: "p".into(),
            state: "/var/lib/p".into(),
            items: vec![item(MAIN, Use::Restore), item(NEW, Use::Discard), item(SDN, Use::Restore)],
            node: "n".into(),
            keep: 20,
            keep_accepted: 5,
            clock: Clock::System,
        };
        std::fs::create_dir_all(store.root.path(SDN)).unwrap();
        drop(store.make_lock(Duration::ZERO).unwrap());
        store.journal().ensure().unwrap();
        let rig = Rig(dir, store);
        rig.put(MAIN, "old");
        rig
    }

    impl Rig {
        fn put(&self, path: &str, text: &str) {
            std::fs::write(self.1.root.path(path), text).unwrap();
        }

        fn apply(&self, outcome: Outcome, run: impl FnOnce(&Self)) -> Seen {
            let (mut watched, _) = Watched::begin(&self.1, "t", "perl-only").unwrap();
            let moves = [(Path::new(NEW), Path::new(MAIN))];
            let pending = self.1.root.path(NEW).exists();
            watched.announce(if pending { &moves } else { &[] }).unwrap();
            run(self);
            watched.finish(outcome).unwrap()
        }

        fn rename(&self) {
            std::fs::rename(self.1.root.path(NEW), self.1.root.path(MAIN)).unwrap();
        }

        fn on_trial(&self, path: &str) -> bool {
            let digest = crate::digest_at(&self.1.root.path(path)).unwrap();
            Provenance::read(&self.1.journal()).on_trial(Path::new(path), &digest).is_some()
        }
    }

    #[test]
    fn what_perl_wrote_is_accepted_and_what_it_generated_is_seen() {
        let rig = rig();
        rig.put(NEW, "by the admin");
        let seen = rig.apply(Outcome::Done, |rig| {
            rig.rename();
            rig.put("/etc/network/interfaces.d/sdn", "generated");
        });
        let changed: Vec<_> = seen.changed.iter().map(ToString::to_string).collect();
        assert_eq!(changed, [MAIN, "/etc/network/interfaces.d/sdn", NEW]);
        assert!(!rig.on_trial(MAIN) && !rig.on_trial("/etc/network/interfaces.d/sdn"));
        let events = rig.1.journal().read().unwrap().unwrap().events;
        assert_eq!(events.len(), 4, "{events:?}");
        assert!(crate::snapshot::list(&rig.1).unwrap().iter().any(|s| s.id == seen.snapshot));
    }

    #[test]
    fn what_rust_left_pending_stays_on_trial_when_perl_puts_it_in_place() {
        let rig = rig();
        let mut operation = Operation::begin(&rig.1, Backend::Rust, "pvenet", "rust-basic-write").unwrap();
        operation.stage(NEW, Some(b"by rust".to_vec())).unwrap();
        operation.commit().unwrap();
        rig.apply(Outcome::Done, Rig::rename);
        assert!(rig.on_trial(MAIN));
    }

    #[test]
    fn a_run_that_does_nothing_is_timed_all_the_same() {
        let rig = rig();
        let seen = rig.apply(Outcome::Done, |_| std::thread::sleep(Duration::from_millis(20)));
        assert!(seen.changed.is_empty() && seen.duration_ms >= 20, "{seen:?}");
        let events = rig.1.journal().read().unwrap().unwrap().events;
        assert!(matches!(&events[1], Event::End { id, duration_ms: 20.., .. } if *id == seen.id), "{events:?}");
    }

    #[test]
    fn a_killed_run_is_closed_by_the_next() {
        let rig = rig();
        let (mut watched, _) = Watched::begin(&rig.1, "t", "perl-only").unwrap();
        watched.announce(&[]).unwrap();
        let id = watched.open[0].clone();
        drop(watched);
        let (_next, killed) = Watched::begin(&rig.1, "t", "perl-only").unwrap();
        assert_eq!(killed, [id]);
        assert_eq!(close_killed(&rig.1, "t").unwrap(), Vec::<String>::new());
    }
}
