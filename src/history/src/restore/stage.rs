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
use crate::{PathText, Scope, Store, new_id, state};

/// Marks what is written beside its place before a rename.
pub(crate) const TAG: &str = "pve-network-rs";
const INTENT: &str = "intent.json";

/// The two stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This node's files.
    Node,
    /// The cluster's, which may have to wait for quorum.
    Cluster,
}

impl Part {
    const ALL: [Self; 2] = [Self::Node, Self::Cluster];

    const fn folder(self) -> &'static str {
        match self {
            Self::Node => "restore",
            Self::Cluster => "restore-cluster",
        }
    }

    /// Where it is put together before it is published, and where it goes when it is done with.
    fn beside(self, store: &Store, tag: &str) -> PathBuf {
        store.path(format!(".{}.{tag}", self.folder()))
    }
}

/// What is to be put where; contents lie beside it, named by position.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    format: u64,
    id: String,
    phase: String,
    actions: Vec<Action>,
}

/// Carries out the plan's actions. The caller holds the store's lock and has taken a snapshot of
/// the present state. Cluster files that can't be written now are staged, and reported as pending.
pub fn carry_out(store: &Store, plan: &Plan, phase: &str) -> Result<Report> {
    let (cluster, node): (Vec<_>, Vec<_>) = plan.actions.iter().cloned().partition(|a| a.scope == Scope::Cluster);
    let asked = !cluster.is_empty();
    // Both are staged before either is begun, so that what can fail has failed before a rename.
    if asked {
        stage(store, Part::Cluster, cluster, phase)?;
    }
    if !node.is_empty()
        && let Err(error) = stage(store, Part::Node, node, phase)
    {
        drop_stage(store, Part::Cluster)?;
        return Err(error);
    }
    let mut report = if is_staged(store, Part::Node) { finish(store, Part::Node)? } else { Report::default() };
    // What waits from earlier is not this caller's to put in place.
    if let Some(cluster) = if asked { resume_cluster(store)? } else { None } {
        report.operation = report.operation.or(cluster.operation);
        report.done.extend(cluster.done);
        report.foreign.extend(cluster.foreign);
        report.pending = cluster.pending;
        report.why_pending = cluster.why_pending;
    }
    Ok(report)
}

fn is_staged(store: &Store, part: Part) -> bool {
    store.path(part.folder()).join(INTENT).exists()
}

/// Whether a restore of this node's files was killed and waits to be finished.
pub fn is_pending(store: &Store) -> bool {
    is_staged(store, Part::Node)
}

/// Finishes a restore of this node's files that was killed, if there is one.
pub fn resume(store: &Store) -> Result<Option<Report>> {
    // A stage that was never published has changed nothing.
    for part in Part::ALL {
        files::remove_tree(&part.beside(store, "new"))?;
        files::remove_tree(&part.beside(store, "old"))?;
    }
    files::remove_tree(&store.path(snapshot::GOING))?;
    sweep(store);
    if !is_pending(store) {
        return Ok(None);
    }
    match read(store, Part::Node) {
        Ok(_) => finish(store, Part::Node).map(Some),
        // Out of the way, or no later restore could be staged; what it would have done is decided
        // anew from the journal.
        Err(error) => set_aside(store).and_then(|to| Err(error.way_out(format!("it was moved to {}", to.display())))),
    }
}

/// Puts cluster files in place that wait for it, if there are any: those that nobody changed
/// meanwhile. Where the cluster can't be written they go on waiting, and the report says why.
pub fn resume_cluster(store: &Store) -> Result<Option<Report>> {
    if !is_staged(store, Part::Cluster) {
        return Ok(None);
    }
    let closed = match Cluster::new(&store.root, &store.node).state() {
        State::Unmounted => "pmxcfs is not mounted".to_owned(),
        State::NoQuorum => "the cluster has no quorum".to_owned(),
        State::Plain | State::Quorate => match finish(store, Part::Cluster) {
            Err(error) if error.kind() == Kind::ClusterNotWritable => error.to_string(),
            done => return done.map(Some),
        },
    };
    let pending = read(store, Part::Cluster)?.actions.into_iter().map(|a| a.path).collect();
    Ok(Some(Report { pending, why_pending: Some(closed), ..Report::default() }))
}

/// A restore that is staged and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whether it is of the cluster's files.
    pub cluster: bool,
    /// Which paths.
    pub paths: Vec<PathText>,
    /// The snapshots that they come from.
    pub snapshots: Vec<String>,
}

/// What is staged and not finished; at most one for each of node and cluster.
pub fn waiting(store: &Store) -> Result<Vec<Waiting>> {
    let mut out = Vec::new();
    for part in Part::ALL.into_iter().filter(|part| is_staged(store, *part)) {
        let (paths, snapshots) = read(store, part)?.actions.into_iter().map(|a| (a.path, a.snapshot)).unzip();
        out.push(Waiting { cluster: part == Part::Cluster, paths, snapshots });
    }
    Ok(out)
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

fn stage(store: &Store, part: Part, mut actions: Vec<Action>, phase: &str) -> Result<()> {
    let (temporary, folder) = (part.beside(store, "new"), store.path(part.folder()));
    files::remove_tree(&temporary)?;
    files::create_dirs(&temporary, 0o700)?;
    let mut contents = Vec::new();
    for action in &actions {
        let from = store.snapshot_path(&action.snapshot).join(action.name.as_path());
        contents.push(content(action, &from)?);
    }
    // What still waits for the cluster goes on waiting, unless this goes over it.
    if part == Part::Cluster && is_staged(store, part) {
        for (position, action) in read(store, part)?.actions.into_iter().enumerate() {
            if actions.iter().all(|a| a.path != action.path) {
                contents.push(content(&action, &folder.join(position.to_string()))?);
                actions.push(action);
            }
        }
    }
    for (position, bytes) in contents.into_iter().enumerate() {
        if let Some(bytes) = bytes {
            let to = temporary.join(position.to_string());
            fs::write(&to, bytes).doing(|| format!("cannot write {}", to.display()))?;
        }
    }
    let intent = Intent { format: state::FORMAT, id: new_id(store), phase: phase.to_owned(), actions };
    let path = temporary.join(INTENT);
    fs::write(&path, state::render(&intent)?).doing(|| format!("cannot write {}", path.display()))?;
    files::sync_file_system(&temporary)?;
    if part == Part::Cluster {
        drop_stage(store, part)?;
    }
    fs::rename(&temporary, &folder).doing(|| format!("cannot create {}", folder.display()))?;
    files::sync_parent(&folder)
}

/// What is to be put in place, from where it lies; `None` for what has no content.
fn content(action: &Action, from: &Path) -> Result<Option<Vec<u8>>> {
    let crate::What::File { sha256, .. } = &action.to else { return Ok(None) };
    let bytes = files::read_plain(from, crate::entry::FILE_LIMIT)?.unwrap_or_default();
    if files::sha256(&bytes) == *sha256 {
        return Ok(Some(bytes));
    }
    Err(Error::new(format!("snapshot {} can't be trusted: {} was altered", action.snapshot, action.name)))
}

fn read(store: &Store, part: Part) -> Result<Intent> {
    let folder = store.path(part.folder());
    let intent = state::read(&folder.join(INTENT))
        .map_err(|e| e.way_out(format!("look at it, then `rm -r {}`", folder.display())))?;
    intent.ok_or_else(|| Error::new(format!("{} holds no {INTENT}", folder.display())))
}

fn finish(store: &Store, part: Part) -> Result<Report> {
    let began = Instant::now();
    let folder = store.path(part.folder());
    let intent = read(store, part)?;
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
    let fates = change::apply(store, &changes).map_err(|e| match part {
        Part::Cluster => e,
        Part::Node => e.way_out(format!("the next run tries again; `rm -r {}` gives it up", folder.display())),
    })?;
    journal.append(&Event::End {
        id: intent.id.clone(),
        time: store.clock.now().seconds(),
        duration_ms: began.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        outcome: Outcome::Done,
    })?;
    drop_stage(store, part)?;
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
    change::move_tree(&store.path(Part::Node.folder()), &store.root.path(&inside))?;
    Ok(inside)
}

fn drop_stage(store: &Store, part: Part) -> Result<()> {
    let (folder, away) = (store.path(part.folder()), part.beside(store, "old"));
    files::remove_tree(&away)?;
    match fs::rename(&folder, &away) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        done => done.doing(|| format!("cannot remove {}", folder.display()))?,
    }
    files::sync_parent(&away)?;
    files::remove_tree(&away)
}
