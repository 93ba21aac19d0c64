//! From the disk to a plan that has been checked.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use host::cluster::State;
use host::{Cluster, Error, IoContext, Result, files};
use model::NetworkFiles;

use crate::plan::{Candidate, Facts, INTERFACES, Plan, Policy, Trigger, plan};
use crate::snapshot::{self, Captured};
use crate::{Provenance, Store, manual};

/// A plan, and the state that it was made for.
#[derive(Debug)]
pub struct Decision {
    /// What would be done.
    pub plan: Plan,
    /// What stands on disk.
    pub present: Captured,
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
    let mut untrusted = Vec::new();
    let mut candidates = Vec::new();
    for snapshot in snapshot::list(store)? {
        let distrust = snapshot::verify(&snapshot).err().map(|e| e.to_string());
        match snapshot.manifest {
            Ok(manifest) if Some(manifest.id.as_str()) != but => {
                let interfaces = content(&snapshot.path, &manifest, Path::new(INTERFACES));
                candidates.push(Candidate { manifest, distrust, interfaces });
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
    let journal = store.journal();
    let contents = journal.read().ok().flatten().unwrap_or_default();
    let writes = contents.writes();
    let mut plan = plan(&Facts {
        trigger,
        policy,
        present: &present.entries,
        interfaces: present.content_of(Path::new(INTERFACES)),
        snapshots: &candidates,
        provenance: &Provenance::read(&journal),
        writes: &writes,
        taken_back: &contents.taken_back(),
    });
    plan.notes.extend(untrusted);
    if !plan.actions.is_empty()
        && let Err(why) = check(store, &plan, &present)
    {
        plan.refuse(why);
    }
    Ok(Decision { plan, present })
}

fn content(folder: &Path, manifest: &crate::Manifest, path: &Path) -> Option<Vec<u8>> {
    let entry = manifest.entries.iter().find(|e| e.path.as_path() == path)?;
    files::read_plain(&folder.join(entry.name.as_path()), crate::entry::FILE_LIMIT).ok().flatten()
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
    let hosts = files::read_plain(&store.root.path("/etc/hosts"), 1 << 20).ok().flatten().unwrap_or_default();
    let allowed = |bridges: &BTreeSet<String>| {
        model::check(&before, &after, &hosts, &store.node, bridges).map_err(|e| e.to_string())
    };
    match guest_bridges(store) {
        Ok(bridges) => allowed(&bridges),
        // Any bridge may be some guest's.
        Err(why) => allowed(&BTreeSet::new()).and_then(|()| {
            allowed(&model::bridges(&before)).map_err(|e| format!("{e}, for all that is known: {why}"))
        }),
    }
}

/// `interfaces.new` is Proxmox's pending change, not part of what runs.
fn is_network(path: &Path) -> bool {
    path.starts_with("/etc/network") && path != Path::new("/etc/network/interfaces.new")
}

/// Bridges that this node's guests are plugged into, or why nobody can tell.
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
