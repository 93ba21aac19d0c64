//! The rules of going back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Action, Candidate, Facts, Kept, Plan, Policy, Trigger, damage, is_interfaces, says_something};
use crate::{Entry, Item, Meta, PathText, Provenance, Scope, Use, What};

/// What going back would do.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let mut plan = match (facts.trigger, facts.policy) {
        (Trigger::ByHand { to, only, cluster }, _) => by_hand(facts, to.as_deref(), only.as_deref(), *cluster),
        (Trigger::Removal, Policy::Last) => last(facts, None),
        (Trigger::Failure { snapshot: Some(id), .. }, Policy::Last) => last(facts, Some(id)),
        (Trigger::Removal, _) => removal(facts),
        (Trigger::Failure { operations, snapshot }, _) => failure(facts, operations, snapshot.as_deref()),
    };
    drop_below_replaced(&mut plan);
    keep_below_strangers(facts, &mut plan);
    let asked = matches!(facts.trigger, Trigger::ByHand { .. });
    if facts.policy == Policy::Never && !asked {
        plan.keep_instead("restore = never");
    }
    plan
}

/// What was inside a folder that gives way to a file goes with the folder.
fn drop_below_replaced(plan: &mut Plan) {
    let replaced: BTreeSet<PathText> =
        plan.actions.iter().filter(|a| a.from == "dir").map(|a| a.path.clone()).collect();
    let below = |path: &PathText| replaced.iter().any(|r| r != path && path.as_path().starts_with(r.as_path()));
    plan.actions.retain(|a| !below(&a.path));
    plan.kept.retain(|k| !below(&k.path));
}

/// A folder that somebody replaced by a file or a link stays theirs, and nothing is written through
/// such a link. One path that can't go back for it stops the set, unless it goes by what a backup has.
fn keep_below_strangers(facts: &Facts<'_>, plan: &mut Plan) {
    let goes: BTreeSet<PathText> = plan.actions.iter().map(|a| a.path.clone()).collect();
    let stranger = |path: &PathText| {
        facts.present.iter().find(|e| {
            let above = e.path != *path && path.as_path().starts_with(e.path.as_path());
            above && !goes.contains(&e.path) && !matches!(e.what, What::Absent | What::Dir { .. })
        })
    };
    let literal = matches!(facts.trigger, Trigger::ByHand { .. }) || facts.policy == Policy::Last;
    let mut stopped = None;
    for action in std::mem::take(&mut plan.actions) {
        match stranger(&action.path) {
            None => plan.actions.push(action),
            Some(above) => {
                let why = format!("{} was a folder and is none any more ({})", above.path, action.why);
                if !literal {
                    stopped = Some(format!("{}: {why}", action.path));
                }
                plan.kept.push(action.kept(why));
            }
        }
    }
    if let Some(why) = stopped {
        plan.refuse(why);
    }
}

/// What every rule asks of the facts.
struct View<'a> {
    facts: &'a Facts<'a>,
}

/// A path that may be changed: whose it is, what it is for, what stands there.
struct Place<'a> {
    path: &'a PathText,
    scope: Scope,
    usage: Use,
    now: &'a What,
}

impl<'a> View<'a> {
    /// Every file that was ever seen by this node and may be written back, once.
    fn places(&self) -> Vec<Place<'a>> {
        let mut all: BTreeMap<&PathText, &Entry> = BTreeMap::new();
        for candidate in self.facts.snapshots {
            all.extend(candidate.manifest.entries.iter().map(|e| (&e.path, e)));
        }
        all.extend(self.facts.present.iter().map(|e| (&e.path, e)));
        let now: BTreeMap<&PathText, &What> = self.facts.present.iter().map(|e| (&e.path, &e.what)).collect();
        // What a folder or pattern that can't be read would hold is not absent: nobody knows it.
        let unread: Vec<(Item, &What)> = self
            .facts
            .present
            .iter()
            .filter(|e| matches!(e.what, What::Unreadable { .. }))
            .map(|e| (Item::new(e.path.to_string(), e.scope, e.usage), &e.what))
            .collect();
        let unread =
            |path: &PathText| unread.iter().find(|(item, _)| item.covers(path.as_path())).map(|(_, what)| *what);
        all.into_values()
            .filter(|e| e.usage != Use::Evidence)
            .map(|e| Place {
                path: &e.path,
                scope: e.scope,
                usage: e.usage,
                now: now.get(&e.path).copied().or_else(|| unread(&e.path)).unwrap_or(&What::Absent),
            })
            .collect()
    }

    fn on_trial(&self, path: impl AsRef<Path>, digest: &str) -> Option<&'a str> {
        self.facts.provenance.on_trial(path.as_ref(), digest)
    }

    /// Whether a backup holds what an operation wrote that was taken back since: it was made in the
    /// midst of a failure, and is nobody's "last backup".
    fn holds_failure(&self, candidate: &Candidate) -> bool {
        self.facts.provenance.written().into_iter().any(|path| {
            let then = candidate.manifest.state_of(path).map(What::digest);
            let operation = then.and_then(|digest| self.on_trial(path, &digest));
            operation.is_some_and(|id| self.facts.taken_back.contains(id))
        })
    }

    /// The newest state in which none of this node's files was on trial.
    fn newest_accepted(&self) -> Option<&'a Candidate> {
        let written = self.facts.provenance.written();
        self.facts.snapshots.iter().rev().filter(|c| c.distrust().is_none()).find(|c| {
            !written.iter().any(|path| {
                let then = c.manifest.state_of(path);
                then.is_some_and(|what| self.on_trial(path, &what.digest()).is_some())
            })
        })
    }

    fn before_trial(&self, path: &PathText, digest: &str) -> Option<String> {
        self.facts.provenance.before_trial(path.as_path(), digest)
    }

    /// A trustworthy snapshot in which `digest` stood at the path; the newest one.
    fn source(&self, path: &PathText, digest: &str) -> Option<(&'a Candidate, &'a What)> {
        self.facts.snapshots.iter().rev().find_map(|c| {
            let what = c.manifest.state_of(path.as_path())?;
            // Asked last, since it reads the whole snapshot.
            (what.digest() == digest && c.distrust().is_none()).then_some((c, what))
        })
    }
}

/// The action that puts `to`, as `candidate` has it, at the place.
fn action(place: &Place<'_>, candidate: &Candidate, to: &What, why: String) -> Action {
    Action {
        path: place.path.clone(),
        scope: place.scope,
        from: place.now.digest(),
        to: if place.usage == Use::Discard { What::Absent } else { to.clone() },
        snapshot: candidate.manifest.id.clone(),
        name: name_in(candidate, place.path),
        folders: folders_in(candidate, place.path),
        why,
    }
}

fn kept(place: &Place<'_>, candidate: &Candidate, instead: &What, why: String) -> Kept {
    Kept {
        path: place.path.clone(),
        scope: place.scope,
        instead: instead.clone(),
        snapshot: candidate.manifest.id.clone(),
        name: name_in(candidate, place.path),
        folders: folders_in(candidate, place.path),
        why,
    }
}

/// The captured folders above `path`, outermost first.
fn folders_in(candidate: &Candidate, path: &PathText) -> Vec<(PathText, Meta)> {
    let above = |e: &&Entry| e.path != *path && path.as_path().starts_with(e.path.as_path());
    let mut out: Vec<_> = candidate
        .manifest
        .entries
        .iter()
        .filter(above)
        .filter_map(|e| match &e.what {
            What::Dir { meta } => Some((e.path.clone(), meta.clone())),
            _ => None,
        })
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn name_in(candidate: &Candidate, path: &PathText) -> PathText {
    candidate.manifest.entries.iter().find(|e| e.path == *path).map_or_else(|| path.clone(), |e| e.name.clone())
}

/// Remove, purge: what is on trial goes back as one set; what others wrote is kept and named.
fn removal(facts: &Facts<'_>) -> Plan {
    let view = View { facts };
    let mut plan = Plan::default();
    let accepted = view.newest_accepted();
    for place in view.places() {
        let digest = place.now.digest();
        let trial = view.on_trial(place.path, &digest);
        let broken = broken_interfaces(&view, &place);
        let (wanted, why) = match (trial, &broken) {
            (Some(operation), _) => {
                (view.before_trial(place.path, &digest), format!("Rust operation {operation} is on trial"))
            }
            (None, Some((wanted, how))) => (Some(wanted.clone()), how.clone()),
            (None, None) => {
                name_foreign(&view, accepted, &place, &mut plan);
                continue;
            }
        };
        let source = wanted.as_deref().and_then(|digest| view.source(place.path, digest));
        match (source, place.scope) {
            (Some((candidate, to)), Scope::Cluster) => {
                plan.kept.push(kept(
                    &place,
                    candidate,
                    to,
                    format!("{why}; cluster files are never changed by a removal"),
                ));
            }
            (None, Scope::Cluster) => plan
                .notes
                .push(format!("keep {}: {why}; no snapshot that verifies has what stood there before", place.path)),
            (Some((candidate, to)), Scope::Node) if to.is_leaf() => {
                plan.actions.push(action(&place, candidate, to, why))
            }
            _ => {
                plan.refuse(format!(
                    "{}: {why}, and no snapshot that verifies has what stood there before",
                    place.path
                ));
                return plan;
            }
        }
    }
    plan
}

/// The digest that mends a damaged `/etc/network/interfaces`, and what is wrong with it.
fn broken_interfaces(view: &View<'_>, place: &Place<'_>) -> Option<(String, String)> {
    if !is_interfaces(place.path.as_path()) {
        return None;
    }
    let how = damage(Some(place.now), view.facts.interfaces)?;
    view.facts.snapshots.iter().rev().find_map(|c| {
        let digest = c.manifest.state_of(place.path.as_path())?.digest();
        let good =
            view.on_trial(place.path, &digest).is_none() && says_something(c.interfaces()) && c.distrust().is_none();
        good.then(|| (digest, how.clone()))
    })
}

/// Names a place that differs from the newest accepted state without being ours to undo.
fn name_foreign(view: &View<'_>, accepted: Option<&Candidate>, place: &Place<'_>, plan: &mut Plan) {
    let Some(candidate) = accepted else { return };
    let Some(then) = candidate.manifest.state_of(place.path.as_path()) else { return };
    let unread = |what: &What| matches!(what, What::Unreadable { .. });
    if then.digest() == place.now.digest() || unread(then) || unread(place.now) || matches!(then, What::Dir { .. }) {
        return;
    }
    // What a new folder holds is named, file by file.
    if !then.exists() && matches!(place.now, What::Dir { .. }) {
        return;
    }
    // Pending changes are never recreated, so there is nothing to offer but their removal.
    let instead = if place.usage == Use::Discard && then.exists() { &What::Other } else { then };
    if place.usage == Use::Discard && !place.now.exists() {
        return;
    }
    let why = match view.facts.provenance {
        Provenance::Unknown { why } => {
            format!("it changed after {} and who did it is unknown ({why})", candidate.manifest.id)
        }
        Provenance::Known(_) => format!("it was changed after {}, not by Rust on trial", candidate.manifest.id),
    };
    plan.kept.push(kept(place, candidate, instead, why));
}

/// A failure takes back the writes of its own operations only, cluster files among them.
fn failure(facts: &Facts<'_>, operations: &BTreeSet<String>, snapshot: Option<&str>) -> Plan {
    let view = View { facts };
    let mut plan = Plan::default();
    let own = facts.snapshots.iter().find(|c| Some(c.manifest.id.as_str()) == snapshot && c.distrust().is_none());
    for place in view.places() {
        let writes: Vec<_> = facts
            .writes
            .iter()
            .filter(|(id, _)| operations.contains(id))
            .filter_map(|(_, paths)| paths.get(place.path))
            .collect();
        let now = place.now.digest();
        let wanted = match writes.first() {
            Some(first) if first.before == now => continue,
            Some(first) if writes.iter().any(|w| w.after == now) => {
                Some((first.before.clone(), "a failed operation wrote it".to_owned()))
            }
            Some(first) => match view.source(place.path, &first.before) {
                Some((candidate, to)) => {
                    let why = match place.now {
                        What::Unreadable { why } => format!("it can't be read: {why}"),
                        _ => "it was changed by someone else after the failed operation".into(),
                    };
                    plan.kept.push(kept(&place, candidate, to, why));
                    continue;
                }
                None => continue,
            },
            None => own.filter(|_| is_interfaces(place.path.as_path())).and_then(|c| {
                let how = damage(Some(place.now), facts.interfaces).filter(|_| says_something(c.interfaces()))?;
                Some((c.manifest.state_of(place.path.as_path())?.digest(), how))
            }),
        };
        let Some((wanted, why)) = wanted else { continue };
        let own_state = own
            .and_then(|c| Some((c, c.manifest.state_of(place.path.as_path())?)))
            .filter(|(_, w)| w.digest() == wanted);
        match own_state.or_else(|| view.source(place.path, &wanted)) {
            Some((candidate, to)) if to.is_leaf() => plan.actions.push(action(&place, candidate, to, why)),
            _ => {
                plan.refuse(format!(
                    "{}: {why}, and no snapshot that verifies has what stood there before",
                    place.path
                ));
                return plan;
            }
        }
    }
    plan
}

/// `restore = "last"`: this node's files become the backup, whatever came after.
fn last(facts: &Facts<'_>, id: Option<&str>) -> Plan {
    let view = View { facts };
    let newest_first = facts.snapshots.iter().rev();
    let mut passed = Vec::new();
    let last = |c: &Candidate| !c.manifest.undo && !view.holds_failure(c);
    for candidate in newest_first.filter(|c| id.map_or_else(|| last(c), |id| c.manifest.id == id)) {
        match candidate.distrust() {
            Some(why) => passed.push(why.to_owned()),
            None => {
                let mut plan = literal(facts, candidate, None, false);
                plan.notes.extend(passed);
                return plan;
            }
        }
    }
    let mut plan = Plan::default();
    plan.refuse(if passed.is_empty() { "there is no snapshot".into() } else { passed.join("; ") });
    plan
}

fn by_hand(facts: &Facts<'_>, to: Option<&str>, only: Option<&Path>, cluster: bool) -> Plan {
    let view = View { facts };
    let last = |c: &Candidate| !c.manifest.undo && !view.holds_failure(c);
    let wanted = |c: &&Candidate| to.map_or_else(|| last(c), |id| c.manifest.id == id);
    let mut plan = Plan::default();
    match facts.snapshots.iter().rev().find(wanted) {
        None => {
            plan.refuse(to.map_or_else(|| "there is no snapshot".into(), |id| format!("there is no snapshot {id}")))
        }
        Some(candidate) => match candidate.distrust() {
            Some(why) => plan.refuse(why.to_owned()),
            None => plan = literal(facts, candidate, only, cluster),
        },
    }
    plan
}

/// Everything becomes what the snapshot has.
fn literal(facts: &Facts<'_>, candidate: &Candidate, only: Option<&Path>, cluster: bool) -> Plan {
    let mut plan = Plan::default();
    for place in (View { facts }).places() {
        let Some(then) = candidate.manifest.state_of(place.path.as_path()) else { continue };
        if only.is_some_and(|only| !place.path.as_path().starts_with(only)) {
            continue;
        }
        let same = match place.scope {
            Scope::Node => place.now.same(then),
            Scope::Cluster => place.now.digest() == then.digest(),
        };
        let unknown = |what: &What| matches!(what, What::Unreadable { .. } | What::Other);
        let folder = matches!(then, What::Dir { .. }) || (!then.exists() && matches!(place.now, What::Dir { .. }));
        let recreates = place.usage == Use::Discard && !place.now.exists();
        if same || folder || recreates {
            continue;
        }
        if unknown(place.now) || unknown(then) {
            plan.notes.push(format!("keep {}: it is no plain file, or could not be read", place.path));
        } else if place.scope == Scope::Cluster && !cluster {
            plan.kept.push(kept(
                &place,
                candidate,
                then,
                "it belongs to the cluster and goes back only if asked".into(),
            ));
        } else {
            plan.actions.push(action(
                &place,
                candidate,
                then,
                format!("it differs from backup {}", candidate.manifest.id),
            ));
        }
    }
    plan
}
