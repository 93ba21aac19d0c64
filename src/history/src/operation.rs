//! A write of network configuration by our own code: what pvenet and the daemon call.
//!
//! ```text
//! begin: lock, fence, what stands there ─► stage ─► commit: snapshot ─► journal ─► renames ─► journal
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::{Error, Kind, Lock, Result, files};

use crate::change::{self, Change, Fate};
use crate::entry::{self, Meta, What};
use crate::journal::{Backend, Event, Outcome, Written};
use crate::provenance::Known;
use crate::{PathText, Policy, Provenance, Scope, Store, Trigger, Use, Why, restore, snapshot, transaction};

/// How long a writer waits for another.
const PATIENCE: Duration = Duration::from_secs(30);

/// A set of writes that become visible together, with a snapshot to go back to.
#[derive(Debug)]
pub struct Operation<'a> {
    store: &'a Store,
    backend: Backend,
    tool: String,
    phase: String,
    began: Instant,
    changes: Vec<Change>,
    id: Option<String>,
    _lock: Lock,
}

impl<'a> Operation<'a> {
    /// Waits for other writers, at most 30 s, and begins. Refused while the package is being
    /// removed.
    pub fn begin(store: &'a Store, backend: Backend, tool: &str, phase: &str) -> Result<Self> {
        let lock = store.enter(PATIENCE)?;
        Ok(Self {
            store,
            backend,
            tool: tool.to_owned(),
            phase: phase.to_owned(),
            began: Instant::now(),
            changes: Vec::new(),
            id: None,
            _lock: lock,
        })
    }

    /// Gives it an id that somebody else made, and by which they will ask for it. It has to be one of a kind.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Plans to put `content` at the absolute path `path`, or to delete it (`None`). Owner, mode and
    /// attributes of a file that is there stay; a new one is 0644 root:root.
    pub fn stage(&mut self, path: impl Into<PathBuf>, content: Option<Vec<u8>>) -> Result<()> {
        let path: PathBuf = path.into();
        if self.changes.iter().any(|c| c.path.as_path() == path) {
            return Err(Error::new(format!("{} is written twice in one operation", path.display())));
        }
        if !self.store.items.iter().any(|i| i.usage != Use::Evidence && i.covers(&path)) {
            return Err(Error::new(format!(
                "{} is not captured in snapshots, so writing it could not be undone",
                path.display()
            )));
        }
        let (now, _) = entry::read(&self.store.root.resolve(&path)?)?;
        if !now.is_leaf() {
            return Err(Error::new(format!("cannot write {}: it is not a plain file", path.display())));
        }
        let to = match &content {
            None => What::Absent,
            Some(bytes) => {
                let time = self.store.clock.now().seconds();
                let meta = match &now {
                    What::File { meta, .. } => Meta { mtime: (time, 0), ..meta.clone() },
                    _ => Meta { mode: 0o644, mtime: (time, 0), ..Meta::default() },
                };
                What::File { meta, size: bytes.len() as u64, sha256: files::sha256(bytes) }
            }
        };
        let scope = if path.starts_with(host::cluster::MOUNT) { Scope::Cluster } else { Scope::Node };
        self.changes.push(Change { path: path.into(), scope, from: now.digest(), to, folders: Vec::new(), content });
        Ok(())
    }

    /// Takes the snapshot and gives the operation its id. Nothing is journaled or written yet: what has to
    /// watch over the write can be started in between. Nothing to change has no snapshot and no id, and
    /// lets go of the lock, unless it is to be recorded all the same (`empty`).
    ///
    /// # Errors
    /// The present state can't be read, or there is no room for the snapshot.
    pub fn prepare(self, empty: bool) -> Result<Option<Prepared<'a>>> {
        let changes: Vec<Change> = self.changes.iter().filter(|c| c.from != c.to.digest()).cloned().collect();
        if changes.is_empty() && !empty {
            return Ok(None);
        }
        let state = snapshot::present(self.store, false)?;
        let why = Why { reason: format!("{} writes", self.tool), phase: Some(self.phase.clone()), ..Why::default() };
        let provenance = Provenance::read(&self.store.journal());
        let snapshot = snapshot::capture_knowing(self.store, &state, &why, &provenance)?.id;
        let id = self.id.clone().unwrap_or_else(|| new_id(self.store));
        Ok(Some(Prepared { operation: self, changes, id, snapshot, provenance }))
    }

    /// Takes a snapshot, records what is about to be written, writes it, records that it is done.
    /// Returns the operation's id. Nothing to change is no operation and has no id.
    pub fn commit(self) -> Result<Option<String>> {
        let Some(prepared) = self.prepare(false)? else { return Ok(None) };
        let done = prepared.write();
        let paths = prepared.paths();
        let Prepared { operation: this, id, snapshot, provenance, .. } = prepared;
        let outcome = match &done {
            Ok(()) => Outcome::Done,
            Err(_) if this.go_back(&id, &snapshot).is_ok() => Outcome::RolledBack,
            Err(_) => Outcome::Failed,
        };
        this.store.journal().append(&Event::End {
            id: id.clone(),
            time: this.store.clock.now().seconds(),
            duration_ms: this.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
            outcome,
        })?;
        // The write is done; that an old snapshot could not be forgotten is no failure of it.
        let _ = match (provenance, outcome) {
            // Nobody else has written since, and the journal is long: it is read once for a write.
            (Provenance::Known(mut known), Outcome::Done) => {
                known.wrote(&id, this.backend, &paths);
                snapshot::prune_knowing(this.store, &[], Some(known))
            }
            _ => snapshot::prune(this.store, &[]),
        };
        match (done, outcome) {
            (Ok(()), _) => Ok(Some(id)),
            (Err(error), Outcome::RolledBack) => Err(error.way_out("what was written of it has gone back")),
            (Err(error), _) => Err(error.way_out("going back failed too: 'migration-ctl rollback' tries again")),
        }
    }

    /// An operation that fails half-way leaves nothing half done.
    fn go_back(&self, id: &str, snapshot: &str) -> Result<()> {
        let trigger = Trigger::Failure { operations: [id.to_owned()].into(), snapshot: Some(snapshot.to_owned()) };
        let present = snapshot::present(self.store, true)?;
        let plan = restore::decide(self.store, &trigger, Policy::Accepted, present, None)?.plan;
        if let Some(why) = plan.refused {
            return Err(Error::new(why));
        }
        match restore::carry_out(self.store, &plan, &self.phase)?.why_pending {
            Some(why) => Err(Error::of(Kind::ClusterNotWritable, why)),
            None => Ok(()),
        }
    }
}

/// An operation with its snapshot, about to be written. It holds the store's lock.
#[derive(Debug)]
pub struct Prepared<'a> {
    operation: Operation<'a>,
    changes: Vec<Change>,
    /// The operation's id.
    pub id: String,
    /// The snapshot that it goes back to.
    pub snapshot: String,
    /// What the journal said before.
    provenance: Provenance,
}

impl Prepared<'_> {
    /// What it changes: each path's content before and after.
    pub fn paths(&self) -> BTreeMap<PathText, Written> {
        let written = |c: &Change| (c.path.clone(), Written { before: c.from.clone(), after: c.to.digest() });
        self.changes.iter().map(written).collect()
    }

    /// Records what is about to be written, and writes it. The operation is then open: whoever called this ends it,
    /// by [`finish`] or [`take_back`].
    ///
    /// # Errors
    /// Part of it may be written.
    pub fn write(&self) -> Result<()> {
        let Operation { store, backend, tool, phase, .. } = &self.operation;
        store.journal().append(&Event::Begin {
            id: self.id.clone(),
            time: store.clock.now().seconds(),
            backend: *backend,
            tool: tool.clone(),
            phase: phase.clone(),
            snapshot: Some(self.snapshot.clone()),
            transaction: transaction::Transaction::read(store)?.filter(|t| t.is_open()).map(|t| t.id),
            paths: self.paths(),
        })?;
        let fates = change::apply(store, &self.changes)?;
        match fates.iter().find(|(_, fate)| *fate == Fate::Foreign) {
            None => Ok(()),
            Some((path, _)) => {
                Err(Error::new(format!("{path} was changed by someone else meanwhile and is left alone")))
            }
        }
    }
}

/// Records that an open operation came to its end as wanted, after this long.
///
/// # Errors
/// The journal can't be written, or somebody took the operation back meanwhile.
pub fn finish(store: &Store, id: &str, took: Duration) -> Result<()> {
    let _lock = store.lock(PATIENCE)?;
    let mut taken_back = false;
    let known = Known::read(&store.journal(), &mut |event| taken_back |= is_taken_back(event, id))?;
    if taken_back {
        return Err(Error::new(format!("operation {id} was taken back meanwhile")));
    }
    end(store, id, took, Outcome::Done)?;
    // The write is done; that an old snapshot could not be forgotten is no failure of it.
    let _ = snapshot::prune_knowing(store, &[], known);
    Ok(())
}

/// Takes an open operation back to its snapshot: what it wrote and nobody changed since. Its result is what stood there
/// before, so it is not asked whether that would cut the node off. One that was never written, or went back already, is
/// left as it is. Returns what was done and what was left alone, a line each.
///
/// # Errors
/// Something can't be written; the next call goes on from there.
pub fn take_back(store: &Store, id: &str, snapshot: &str, phase: &str, took: Duration) -> Result<Vec<String>> {
    let _lock = store.lock(PATIENCE)?;
    restore::resume(store)?;
    let (mut begun, mut taken_back) = (false, false);
    store.journal().each(&mut |event| {
        begun |= matches!(&event, Event::Begin { id: found, .. } if found == id);
        taken_back |= is_taken_back(&event, id);
    })?;
    if !begun || taken_back {
        return Ok(Vec::new());
    }
    let trigger = Trigger::Failure { operations: [id.to_owned()].into(), snapshot: Some(snapshot.to_owned()) };
    let question =
        restore::Question { trigger: &trigger, policy: Policy::Accepted, but: None, force: true, supposing: &[] };
    let plan = restore::answer(store, &question, snapshot::present(store, true)?)?.plan;
    if let Some(why) = plan.refused {
        return Err(Error::new(why));
    }
    restore::carry_out(store, &plan, phase)?;
    end(store, id, took, Outcome::RolledBack)?;
    Ok(plan.lines())
}

fn is_taken_back(event: &Event, id: &str) -> bool {
    matches!(event, Event::End { id: found, outcome: Outcome::RolledBack, .. } if found == id)
}

fn end(store: &Store, id: &str, took: Duration, outcome: Outcome) -> Result<()> {
    let time = store.clock.now().seconds();
    let duration_ms = took.as_millis().try_into().unwrap_or(u64::MAX);
    store.journal().append(&Event::End { id: id.to_owned(), time, duration_ms, outcome })
}

/// A new operation id: when, who, and a count.
pub fn new_id(store: &Store) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", store.clock.now().compact(), std::process::id())
}

/// The store's journal must not lose the line that says a state was accepted: by whom and why.
pub fn accept(store: &Store, by: &str, reason: &str, paths: &[&Path]) -> Result<()> {
    let mut digests = BTreeMap::new();
    for path in paths {
        digests.insert((*path).into(), entry::digest_at(&store.root.resolve(path)?)?);
    }
    let time = store.clock.now().seconds();
    store.journal().append(&Event::Accept { time, by: by.to_owned(), reason: reason.to_owned(), paths: digests })
}
