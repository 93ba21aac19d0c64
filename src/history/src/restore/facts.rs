//! From the disk to a plan that has been checked.

use std::collections::BTreeSet;
use std::path::Path;

use host::{Result, files};
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
    let writes = journal.read().ok().flatten().unwrap_or_default().writes();
    let mut plan = plan(&Facts {
        trigger,
        policy,
        present: &present.entries,
        interfaces: present.content_of(Path::new(INTERFACES)),
        snapshots: &candidates,
        provenance: &Provenance::read(&journal),
        writes: &writes,
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
    model::check(&before, &after, &hosts, &store.node, &guest_bridges(store)).map_err(|e| e.to_string())
}

/// `interfaces.new` is Proxmox's pending change, not part of what runs.
fn is_network(path: &Path) -> bool {
    path.starts_with("/etc/network") && path != Path::new("/etc/network/interfaces.new")
}

/// Bridges that this node's guests are plugged into. A guest that can't be read names none.
pub fn guest_bridges(store: &Store) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for folder in ["/etc/pve/qemu-server", "/etc/pve/lxc"] {
        let Ok(real) = store.root.resolve(Path::new(folder).join("x")) else { continue };
        let Some(Ok(entries)) = real.parent().map(std::fs::read_dir) else { continue };
        for entry in entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "conf")) {
            if let Ok(Some(bytes)) = files::read_plain(&entry.path(), 1 << 20) {
                out.extend(model::guests::bridges_of(&bytes));
            }
        }
    }
    out
}
