//! What there is to know, read once.

use std::collections::{BTreeMap, BTreeSet};

use history::journal::{Backend, Contents, Event, Outcome};
use history::restore::{self, Decision};
use history::{Captured, Policy, Store, Transaction, Trigger, What, snapshot};
use host::cluster::State;
use host::{Cluster, Timestamp, cluster, files};
use maintscript::removal::{self, Removal};
use migration::breaker;
use phase::{Migration, Phase, Said, config, effective};
use serde::Serialize;

use crate::Node;
use crate::dpkg::{self, Installed};
use crate::health::facts::room;
use crate::pending::{self, Pending};
use crate::units::{self, Units};

/// Everything on the screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Facts {
    /// This node's name.
    pub(crate) node: String,
    /// dpkg's view; `None` if it does not know the package.
    pub(crate) package: Option<Installed>,
    /// The effective phase.
    pub(crate) phase: String,
    /// Why, never empty.
    pub(crate) reasons: Vec<String>,
    /// Whether one of them is a file that someone has to mend.
    pub(crate) phase_broken: bool,
    /// Whether the ceiling is that file.
    #[serde(skip)]
    pub(crate) ceiling_broken: bool,
    /// Whether `[canary] order` names this node, so that a gate decides over its next step.
    #[serde(skip)]
    pub(crate) canary: bool,
    /// Whether there are changes that nobody has applied yet: `/etc/network/interfaces.new`.
    pub(crate) changes_pending: bool,
    /// Why a snapshot could not be taken now, where the disk is full.
    #[serde(skip)]
    pub(crate) no_room: Option<String>,
    /// The most that this node may do, if anybody has said so.
    pub(crate) ceiling: Option<String>,
    /// The others, by name.
    pub(crate) other_nodes: BTreeMap<String, Other>,
    /// Our units.
    #[serde(serialize_with = "units_json")]
    pub(crate) units: Units,
    /// What `/etc/pve` is.
    pub(crate) cluster: &'static str,
    /// The last operation in the journal.
    pub(crate) last_operation: Option<Operation>,
    /// What is wrong with the journal.
    pub(crate) journal_problem: Option<String>,
    /// What there is to go back to.
    pub(crate) snapshots: Snapshots,
    /// What an earlier run left to do.
    pub(crate) pending: Vec<Pending>,
    /// The package transaction that is open, or failed and has gone back.
    pub(crate) transaction: Option<Open>,
    /// What a removal would do right now.
    pub(crate) removal: Plan,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Other {
    /// What migration.toml says for it.
    pub(crate) phase: String,
    /// Whether it has a line of its own there.
    pub(crate) own_line: bool,
}

/// A write of network configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) time: i64,
    pub(crate) backend: &'static str,
    pub(crate) tool: String,
    /// `done`, `failed`, `rolled-back`, or `unfinished`.
    pub(crate) outcome: &'static str,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) paths: usize,
}

/// Snapshots in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Snapshots {
    /// How many there are, damaged ones included.
    pub(crate) count: usize,
    /// What is wrong with those whose manifest can't be used.
    pub(crate) damaged: Vec<String>,
    /// The newest one.
    pub(crate) newest: Option<Newest>,
}

/// The newest snapshot that was not taken for an undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Newest {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) reason: String,
    /// Whether its files are as they were written.
    pub(crate) verifies: bool,
    /// Why not.
    pub(crate) problem: Option<String>,
}

/// An open transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Open {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) snapshot: String,
    /// Whether it failed and what it wrote has gone back.
    pub(crate) gone_back: bool,
}

/// What a removal would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    /// `accepted`, `last` or `never`.
    pub(crate) restore: Policy,
    /// The very lines that `prerm remove` would log.
    pub(crate) lines: Vec<String>,
    /// How many paths are on trial or damaged and would be changed.
    pub(crate) actions: usize,
    /// Whether something should go back and would not.
    pub(crate) refused: bool,
    /// Why there is no plan, or what is wrong with the choice how far to go back.
    pub(crate) problem: Option<String>,
}

fn units_json<S: serde::Serializer>(units: &Units, serializer: S) -> Result<S::Ok, S::Error> {
    match units {
        Ok(units) => units.serialize(serializer),
        Err(_) => serializer.serialize_none(),
    }
}

impl Facts {
    /// Reads everything; what can't be read is among the facts.
    pub(crate) fn read(node: &Node) -> Self {
        let asked = units::ask(node);
        let (store, switch) = (&node.store, &node.switch);
        let state = Cluster::new(&store.root, &store.node).state();
        let effective = match state {
            State::Unmounted => effective(Said::Unavailable, switch.ceiling()),
            _ => switch.effective(),
        };
        let (contents, journal_problem) = journal(node);
        let mut pending = pending::find(store, &contents);
        let transaction = Transaction::read(store).unwrap_or_else(|error| {
            pending.push(Pending::Damaged(error.to_string()));
            None
        });
        let (removal, snapshots) = removal_plan(node);
        let ceiling = switch.ceiling();
        let ceiling_broken = ceiling.is_err();
        let ceiling = ceiling.ok().flatten();
        let migration = migration(node);
        Self {
            ceiling_broken,
            canary: migration.as_ref().is_some_and(|m| m.canary_order.contains(&store.node)),
            changes_pending: store.root.path(network::files::PENDING).symlink_metadata().is_ok(),
            no_room: no_room(node),
            node: store.node.clone(),
            package: dpkg::installed(&store.root, &store.package),
            phase: effective.phase.to_string(),
            phase_broken: effective.problems().next().is_some(),
            reasons: effective.reasons.iter().map(ToString::to_string).chain(opened(store, ceiling)).collect(),
            ceiling: ceiling.map(|p| p.to_string()),
            other_nodes: migration.map(|m| others(node, &m)).unwrap_or_default(),
            cluster: match state {
                State::Plain => "none",
                State::Unmounted => "unmounted",
                State::NoQuorum => "no-quorum",
                State::Quorate => "quorate",
            },
            last_operation: last(&contents),
            journal_problem,
            snapshots,
            pending,
            transaction: transaction.map(|t| Open {
                gone_back: !t.is_open(),
                id: t.id,
                from: t.from,
                to: t.to,
                snapshot: t.snapshot,
            }),
            removal,
            units: units::join(asked),
        }
    }
}

/// Why the middleware took this node down, as long as nobody has raised it since.
fn opened(store: &Store, ceiling: Option<Phase>) -> Option<String> {
    let bytes = files::read_plain(&store.path(breaker::FILE), 64 * 1024).ok().flatten()?;
    breaker::Opened::parse(&bytes).filter(|opened| opened.holds(ceiling)).map(|opened| opened.to_string())
}

fn journal(node: &Node) -> (Contents, Option<String>) {
    match node.store.journal().read() {
        Ok(Some(contents)) => {
            let problem = (contents.damaged > 0)
                .then(|| format!("{} lines of the journal can't be read and are passed over", contents.damaged));
            (contents, problem)
        }
        Ok(None) => (Contents::default(), Some("there is no journal: who wrote what is unknown".into())),
        Err(error) => (Contents::default(), Some(error.to_string())),
    }
}

fn last(contents: &Contents) -> Option<Operation> {
    let (id, time, backend, tool, paths) = contents.events.iter().rev().find_map(|event| match event {
        Event::Begin { id, time, backend, tool, paths, .. } => Some((id, *time, *backend, tool, paths.len())),
        _ => None,
    })?;
    let end = contents.events.iter().rev().find_map(|event| match event {
        Event::End { id: of, outcome, duration_ms, .. } if of == id => Some((*outcome, *duration_ms)),
        _ => None,
    });
    Some(Operation {
        id: id.clone(),
        time,
        backend: match backend {
            Backend::Rust => "rust",
            Backend::Legacy => "legacy",
            Backend::Restore => "restore",
        },
        tool: tool.clone(),
        outcome: match end.map(|(outcome, _)| outcome) {
            Some(Outcome::Done) => "done",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::RolledBack) => "rolled-back",
            None => "unfinished",
        },
        duration_ms: end.map(|(_, ms)| ms),
        paths,
    })
}

/// The cluster's file, if it can be read.
fn migration(node: &Node) -> Option<Migration> {
    let switch = &node.switch;
    let text = cluster::read(&switch.root, &switch.migration, config::MAX_SIZE).ok().flatten();
    text.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| Migration::parse(&text, "migration.toml").ok())
}

/// As health judges it.
fn no_room(node: &Node) -> Option<String> {
    let present = snapshot::present(&node.store, true).unwrap_or_default();
    let room = room(node, &present).ok()?;
    room.is_short(1).then(|| format!("no room for a snapshot: {room}"))
}

/// What migration.toml says of the nodes that it or the cluster names.
fn others(node: &Node, migration: &Migration) -> BTreeMap<String, Other> {
    let switch = &node.switch;
    let mut names: BTreeSet<String> = migration.nodes.keys().cloned().collect();
    for entry in std::fs::read_dir(switch.root.path("/etc/pve/nodes")).into_iter().flatten().flatten() {
        names.extend(entry.file_name().into_string());
    }
    names.remove(&switch.node);
    let other = |name: String| {
        let (phase, own_line): (Phase, bool) = (migration.node_phase(&name), migration.nodes.contains_key(&name));
        (name, Other { phase: phase.to_string(), own_line })
    };
    names.into_iter().map(other).collect()
}

fn removal_plan(node: &Node) -> (Plan, Snapshots) {
    let store = &node.store;
    let (choice, complaint) = removal::restore_choice(&store.root, &node.policy);
    // A removal that has begun keeps to its choice.
    let removal = Removal::known(store).unwrap_or_else(|| Removal::begin(choice));
    let made = snapshot::present(store, true)
        .and_then(|present| taken_back(store, removal.restore, present))
        .and_then(|(first, present)| Ok((first, removal::decide(store, &removal, present)?)));
    let mut plan = Plan { restore: removal.restore, lines: Vec::new(), actions: 0, refused: false, problem: complaint };
    match made {
        Ok((first, Decision { plan: made, snapshots, damaged, .. })) => {
            plan.lines = first;
            plan.lines.extend(made.lines());
            plan.actions = made.actions.len();
            plan.refused = made.refused.is_some();
            let newest = snapshots.iter().rev().find(|c| !c.manifest.undo).map(|c| Newest {
                id: c.manifest.id.clone(),
                created: c.manifest.created,
                reason: c.manifest.reason.clone(),
                verifies: c.distrust().is_none(),
                problem: c.distrust().map(str::to_owned),
            });
            (plan, Snapshots { count: snapshots.len() + damaged.len(), damaged, newest })
        }
        Err(error) => {
            plan.problem = Some(error.to_string());
            (plan, Snapshots::default())
        }
    }
}

/// A removal first takes back what the open transaction and killed operations wrote: the lines that
/// it logs for that, and the state that it leaves.
fn taken_back(store: &Store, restore: Policy, mut present: Captured) -> host::Result<(Vec<String>, Captured)> {
    let journal = store.journal().read().ok().flatten().unwrap_or_default();
    let open = Transaction::read(store).ok().flatten().filter(Transaction::is_open);
    let mut operations: BTreeSet<String> = journal.unfinished().into_iter().collect();
    operations.extend(open.iter().flat_map(|t| journal.of_transaction(&t.id)));
    if open.is_none() && operations.is_empty() {
        return Ok((Vec::new(), present));
    }
    let trigger = Trigger::Failure { operations, snapshot: open.map(|t| t.snapshot) };
    let plan = restore::decide(store, &trigger, restore, present.clone(), None)?.plan;
    for action in &plan.actions {
        let from = store.snapshot_path(&action.snapshot).join(action.name.as_path());
        let content = match action.to {
            What::File { .. } => host::files::read_plain(&from, history::FILE_LIMIT)?,
            _ => None,
        };
        // A path that is not among them was absent, and is restored: the plan of the removal that
        // follows sees it as everybody's, which it then is.
        if let Some(at) = present.entries.iter().position(|e| e.path == action.path) {
            present.entries[at].what = action.to.clone();
            present.contents[at] = content;
        }
    }
    Ok((plan.lines(), present))
}

/// `2026-11-24T20:15:00Z`.
pub(crate) fn time(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).to_string()
}
