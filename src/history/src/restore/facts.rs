//! From the disk to a plan that has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use host::cluster::State;
use host::{Cluster, Error, IoContext, Kind, Result, files};
use model::{NetworkFiles, Reading};

use crate::journal::{Event, Outcome, Written};
use crate::plan::{Candidate, Facts, INTERFACES, Plan, Policy, Trigger, plan};
use crate::provenance::Known;
use crate::snapshot::{self, Captured};
use crate::{PathText, Provenance, Store, manual};

/// A plan, and the state that it was made for.
#[derive(Debug)]
pub struct Decision {
    /// What would be done.
    pub plan: Plan,
    /// What stands on disk.
    pub present: Captured,
    /// The snapshots that it was made from, oldest first.
    pub snapshots: Vec<Candidate>,
    /// What is wrong with those whose manifest can't be used.
    pub damaged: Vec<String>,
}

/// What going back is asked for.
#[derive(Debug)]
pub struct Question<'a> {
    /// Why we go back.
    pub trigger: &'a Trigger,
    /// How far.
    pub policy: Policy,
    /// The snapshot just taken of the present state, which is nothing to go back to.
    pub but: Option<&'a str>,
    /// Whether a person insists on a result that would be refused. What does not verify is never
    /// restored all the same.
    pub force: bool,
    /// Lines that the journal does not have yet: what would be, if it had.
    pub supposing: &'a [Event],
}

/// Makes the plan for going back from `present`, and gives the whole set up if its result would
/// not validate or would cut the node off. `but` is the snapshot just taken of `present`.
pub fn decide(
    store: &Store,
    trigger: &Trigger,
    policy: Policy,
    present: Captured,
    but: Option<&str>,
) -> Result<Decision> {
    answer(store, &Question { trigger, policy, but, force: false, supposing: &[] }, present)
}

/// The same for a question with more to it.
pub fn answer(store: &Store, question: &Question<'_>, present: Captured) -> Result<Decision> {
    let Question { trigger, policy, but, .. } = *question;
    let mut untrusted = Vec::new();
    let mut candidates = Vec::new();
    for snapshot in snapshot::list(store)? {
        match snapshot.manifest {
            Ok(manifest) if Some(manifest.id.as_str()) != but => {
                candidates.push(Candidate::at(snapshot.path, manifest));
            }
            Ok(_) => {}
            Err(error) => untrusted.push(error.to_string()),
        }
    }
    if let Trigger::ByHand { to: Some(id), .. } = trigger
        && id.starts_with("manual-backups/")
    {
        candidates.push(manual::candidate(store, id)?);
    }
    let told = journal(store, question);
    let mut plan = plan(&Facts {
        trigger,
        policy,
        present: &present.entries,
        interfaces: present.content_of(Path::new(INTERFACES)),
        snapshots: &candidates,
        provenance: &told.provenance,
        writes: &told.failed,
        taken_back: &told.taken_back,
    });
    plan.notes.extend(untrusted.iter().cloned());
    if !plan.actions.is_empty()
        && let Err(why) = check(store, &plan, &present)
    {
        if question.force { plan.forced = Some(why) } else { plan.refuse(why) }
    }
    Ok(Decision { plan, present, snapshots: candidates, damaged: untrusted })
}

/// What the journal says, from one reading.
struct Told {
    provenance: Provenance,
    /// What the operations that go back changed, in their order.
    failed: Vec<(String, BTreeMap<PathText, Written>)>,
    taken_back: BTreeSet<String>,
}

fn journal(store: &Store, question: &Question<'_>) -> Told {
    let (mut failed, mut taken_back) = (Vec::new(), BTreeSet::new());
    let mut read = Known::read(&store.journal(), &mut |event| match (event, question.trigger) {
        (Event::Begin { id, paths, .. }, Trigger::Failure { operations, .. }) if operations.contains(id) => {
            failed.push((id.clone(), paths.clone()));
        }
        (Event::End { id, outcome: Outcome::RolledBack, .. }, _) => {
            taken_back.insert(id.clone());
        }
        _ => {}
    });
    match &mut read {
        Ok(Some(known)) => question.supposing.iter().for_each(|event| known.add(event)),
        // What it said before it could be read no further is no more to go by than the rest.
        _ => (failed, taken_back) = Default::default(),
    }
    Told { provenance: Provenance::from_read(read), failed, taken_back }
}

/// Whether the network files, once the plan is carried out, still parse and still hold the
/// management address and every bridge that a guest names.
fn check(store: &Store, plan: &Plan, present: &Captured) -> Result<(), String> {
    let mut before = NetworkFiles::new();
    for (entry, content) in present.entries.iter().zip(&present.contents) {
        if let (true, Some(bytes)) = (is_network(entry.path.as_path()), content) {
            before.insert(entry.path.as_path(), bytes.clone());
        }
    }
    let mut after = before.clone();
    for action in plan.actions.iter().filter(|a| is_network(a.path.as_path())) {
        after.remove(action.path.as_path());
        // A link has no content of its own, here as in what is present.
        if matches!(action.to, crate::What::File { .. }) {
            let from = store.snapshot_path(&action.snapshot).join(action.name.as_path());
            let bytes = files::read_plain(&from, crate::entry::FILE_LIMIT).map_err(|e| e.to_string())?;
            after.insert(action.path.as_path(), bytes.unwrap_or_default());
        }
    }
    if before == after {
        return Ok(());
    }
    stays_reachable(store, &before, &after).map_err(|e| e.to_string())
}

/// Whether a node whose network files become `after` keeps its management address, and its guests
/// their bridges.
///
/// # Errors
/// Why not, with [`host::Kind::Refused`].
pub fn stays_reachable(store: &Store, before: &NetworkFiles, after: &NetworkFiles) -> Result<()> {
    reachable_as_read(store, &before.read(), &after.read())
}

/// The same of files that were read already.
///
/// # Errors
/// Why not, with [`host::Kind::Refused`].
pub fn reachable_as_read(store: &Store, before: &Reading<'_>, after: &Reading<'_>) -> Result<()> {
    let hosts = files::read_plain(&store.root.path("/etc/hosts"), 1 << 20).ok().flatten().unwrap_or_default();
    let allowed = |bridges: &BTreeSet<String>| model::check(before, after, &hosts, &store.node, bridges);
    match guest_bridges(store) {
        Ok(bridges) => Ok(allowed(&bridges)?),
        // Any bridge may be some guest's.
        Err(why) => {
            allowed(&BTreeSet::new())?;
            allowed(&before.configuration.bridges())
                .map_err(|e| Error::of(Kind::Refused, format!("{e}, for all that is known: {why}")))
        }
    }
}

/// `interfaces.new` is Proxmox's pending change, not part of what runs.
fn is_network(path: &Path) -> bool {
    path.starts_with("/etc/network") && path != Path::new("/etc/network/interfaces.new")
}

/// Bridges that this node's guests are plugged into.
///
/// # Errors
/// Nobody can tell: pmxcfs is not mounted, or a guest's configuration can't be read.
fn guest_bridges(store: &Store) -> Result<BTreeSet<String>> {
    if Cluster::new(&store.root, &store.node).state() == State::Unmounted {
        return Err(Error::new("/etc/pve is not mounted, so guests can't be asked"));
    }
    let mut out = BTreeSet::new();
    for folder in ["/etc/pve/qemu-server", "/etc/pve/lxc"] {
        let real = store.root.resolve(Path::new(folder).join("x"))?;
        let entries = match std::fs::read_dir(real.parent().unwrap_or(&real)) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(Error::io(format!("cannot list {folder}"), e)),
        };
        for entry in entries {
            let path = entry.doing(|| format!("cannot list {folder}"))?.path();
            if path.extension().is_some_and(|x| x == "conf") {
                // One that has gone meanwhile has moved to another node.
                out.extend(model::guests::bridges_of(&files::read_plain(&path, 1 << 20)?.unwrap_or_default()));
            }
        }
    }
    Ok(out)
}
