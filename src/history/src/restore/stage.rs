//! The durable part: once staged, a restore is finished by whoever comes next.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use host::cluster::State;
use host::{Cluster, Error, IoContext, Kind, Result, files};
use serde::{Deserialize, Serialize};

use super::Report;
use crate::change::{self, Change, Fate};
use crate::journal::{Backend, Event, Outcome, Written};
use crate::plan::{Action, Plan};
use crate::snapshot;
use crate::{Scope, Store, new_id, state};

/// Marks what is written beside its place before a rename.
pub(crate) const TAG: &str = "pve-network-rs";
const FOLDER: &str = "restore";
const INTENT: &str = "intent.json";

/// What is to be put where; contents lie beside it, named by position.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    format: u64,
    id: String,
    phase: String,
    actions: Vec<Action>,
}

/// Carries out the plan's actions. The caller holds the store's lock and has taken a snapshot of
/// the present state.
pub fn carry_out(store: &Store, plan: &Plan, phase: &str) -> Result<Report> {
    if plan.actions.is_empty() {
        return Ok(Report::default());
    }
    let cluster = Cluster::new(&store.root, &store.node).state();
    if plan.actions.iter().any(|a| a.scope == Scope::Cluster) && matches!(cluster, State::Unmounted | State::NoQuorum) {
        return Err(Error::of(Kind::ClusterNotWritable, "nothing was changed: /etc/pve can't be written now")
            .way_out("try again when `pvecm status` says quorate"));
    }
    stage(store, plan, phase)?;
    finish(store)
}

/// Whether a restore waits to be finished.
pub fn is_pending(store: &Store) -> bool {
    store.path(FOLDER).join(INTENT).exists()
}

/// Finishes a restore that was killed, if there is one.
pub fn resume(store: &Store) -> Result<Option<Report>> {
    // A stage that was never published has changed nothing.
    files::remove_tree(&store.path(".restore.new"))?;
    files::remove_tree(&store.path(".restore.old"))?;
    files::remove_tree(&store.path(snapshot::GOING))?;
    sweep(store);
    if !is_pending(store) {
        return Ok(None);
    }
    match state::read::<Intent>(&store.path(FOLDER).join(INTENT)) {
        Ok(_) => finish(store).map(Some),
        // Out of the way, or no later restore could be staged; what it would have done is decided
        // anew from the journal.
        Err(error) => set_aside(store).and_then(|to| Err(error.way_out(format!("it was moved to {}", to.display())))),
    }
}

/// Removes temporaries that a killed writer left in the state folder and beside captured files. The
/// caller holds the lock, so nobody is writing the latter. What can't be removed now is found the
/// next time.
fn sweep(store: &Store) {
    // The ceiling is written without the lock, so only what the dead left.
    files::sweep(&store.path(""), &["new"]);
    for item in &store.items {
        let path = item.pattern().map_or_else(|| Path::new(&item.path).to_owned(), |(folder, _)| folder.join("x"));
        let folders = [path.parent().map(Path::to_owned), Some(path.clone())];
        for real in folders.into_iter().flatten().filter_map(|f| store.root.resolve(f.join("x")).ok()) {
            let Some(entries) = real.parent().and_then(|f| fs::read_dir(f).ok()) else { continue };
            for entry in entries.flatten().filter(|e| files::is_temporary(&e.path(), &[TAG, &store.node])) {
                // A folder's is empty.
                let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir(entry.path()));
            }
        }
    }
}

fn stage(store: &Store, plan: &Plan, phase: &str) -> Result<()> {
    let (temporary, folder) = (store.path(".restore.new"), store.path(FOLDER));
    files::remove_tree(&temporary)?;
    files::create_dirs(&temporary, 0o700)?;
    for (position, action) in plan.actions.iter().enumerate() {
        if let crate::What::File { sha256, .. } = &action.to {
            let from = store.snapshot_path(&action.snapshot).join(action.name.as_path());
            let bytes = files::read_plain(&from, crate::entry::FILE_LIMIT)?.unwrap_or_default();
            if files::sha256(&bytes) != *sha256 {
                return Err(Error::new(format!(
                    "snapshot {} can't be trusted: {} was altered",
                    action.snapshot, action.name
                )));
            }
            let to = temporary.join(position.to_string());
            fs::write(&to, bytes).doing(|| format!("cannot write {}", to.display()))?;
        }
    }
    let intent =
        Intent { format: state::FORMAT, id: new_id(store), phase: phase.to_owned(), actions: plan.actions.clone() };
    let path = temporary.join(INTENT);
    fs::write(&path, state::render(&intent)?).doing(|| format!("cannot write {}", path.display()))?;
    files::sync_file_system(&temporary)?;
    fs::rename(&temporary, &folder).doing(|| format!("cannot create {}", folder.display()))?;
    files::sync_parent(&folder)
}

fn finish(store: &Store) -> Result<Report> {
    let began = Instant::now();
    let folder = store.path(FOLDER);
    let Some(intent) = state::read::<Intent>(&folder.join(INTENT))? else { return Ok(Report::default()) };
    let mut changes = Vec::new();
    for (position, action) in intent.actions.iter().enumerate() {
        let content = match action.to {
            crate::What::File { .. } => {
                files::read_plain(&folder.join(position.to_string()), crate::entry::FILE_LIMIT)?
            }
            _ => None,
        };
        changes.push(Change {
            path: action.path.clone(),
            scope: action.scope,
            from: action.from.clone(),
            to: action.to.clone(),
            folders: action.folders.clone(),
            content,
        });
    }
    let paths: BTreeMap<_, _> =
        changes.iter().map(|c| (c.path.clone(), Written { before: c.from.clone(), after: c.to.digest() })).collect();
    let journal = store.journal();
    journal.append(&Event::Begin {
        id: intent.id.clone(),
        time: store.clock.now().seconds(),
        backend: Backend::Restore,
        tool: "restore".into(),
        phase: intent.phase,
        snapshot: None,
        transaction: None,
        paths,
    })?;
    // On an error the stage stays, and the next run tries again.
    let fates = change::apply(store, &changes)
        .map_err(|e| e.way_out(format!("the next run tries again; `rm -r {}` gives it up", folder.display())))?;
    journal.append(&Event::End {
        id: intent.id.clone(),
        time: store.clock.now().seconds(),
        duration_ms: began.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        outcome: Outcome::Done,
    })?;
    drop_stage(store, &folder)?;
    let mut report = Report { operation: Some(intent.id), ..Report::default() };
    for (path, fate) in fates {
        if fate == Fate::Foreign { report.foreign.push(path) } else { report.done.push(path) }
    }
    Ok(report)
}

/// Moves a stage that can't be understood to where people find it.
fn set_aside(store: &Store) -> Result<PathBuf> {
    files::create_dirs(&store.root.path("/var/backups"), 0o755)?;
    files::create_dirs(&store.root.path(store.attic()), 0o700)?;
    let inside = change::free(store, &store.attic().join(format!("stage-{}", store.clock.now().compact())));
    change::move_tree(&store.path(FOLDER), &store.root.path(&inside))?;
    Ok(inside)
}

fn drop_stage(store: &Store, folder: &PathBuf) -> Result<()> {
    let away = store.path(".restore.old");
    fs::rename(folder, &away).doing(|| format!("cannot remove {}", folder.display()))?;
    files::sync_parent(&away)?;
    files::remove_tree(&away)
}
