//! What a change of phase means: from what the two files say and what is wanted, to what is written.
//! Pure; [`Machine`](crate::Machine) carries it out.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use host::files::sha256;
use host::{Error, Kind, Result};

use crate::record::CEILING;
use crate::{
    DEFAULT_TOML, Effective, Migration, Override, Phase, Said, Setting, Step, config, edit, effective, step_allowed,
};

/// The key of `migration.toml` as a whole in a [`Setting`].
const WHOLE: &str = "migration.toml";

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// An operator sets the phase of one node.
    Node {
        /// Which.
        node: String,
        /// The phase.
        to: Phase,
    },
    /// An operator sets the phase of every node.
    AllNodes {
        /// The phase.
        to: Phase,
    },
    /// An operator switches a feature.
    Feature {
        /// Its name.
        name: String,
        /// On or off.
        on: bool,
    },
    /// An operator puts a file in the place of the cluster's.
    Import {
        /// Its content.
        text: String,
    },
    /// A failure or a removal takes this node down: never refused, never up.
    Lower {
        /// The most that it may do afterwards.
        to: Phase,
    },
    /// What a failure or a removal took away comes back.
    Again {
        /// This node's ceiling; none if that was not touched.
        ceiling: Option<Phase>,
        /// Its line in the cluster's file; none if that was not touched.
        line: Option<Phase>,
    },
    /// A first install: what is there stays.
    First {
        /// The ceiling.
        ceiling: Phase,
        /// The cluster's file.
        text: String,
    },
}

/// What the cluster's file is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// These bytes.
    Bytes(Vec<u8>),
    /// There is none.
    Absent,
    /// It can't be read; why.
    Unreadable(String),
    /// `/etc/pve` is not mounted.
    Unavailable,
}

/// What a change is decided on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The path of the cluster's file, for messages.
    pub file: String,
    /// This node.
    pub node: String,
    /// The cluster's nodes; this one is, whether named or not.
    pub known: Vec<String>,
    /// The cluster's file.
    pub cluster: Seen,
    /// This node's ceiling.
    pub ceiling: Said,
    /// The file as it was understood.
    parsed: OnceCell<std::result::Result<Option<Migration>, (Kind, String)>>,
}

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Phases that change.
    pub steps: Vec<Step>,
    /// Settings that change.
    pub changes: Vec<Setting>,
    /// This node's new ceiling.
    pub ceiling: Option<Phase>,
    /// The new text of the cluster's file.
    pub cluster: Option<String>,
    /// Whether a node may do more afterwards: then nothing is done that can't be recorded, and the
    /// cluster's file is written before the ceiling. Otherwise it is the other way round.
    pub raises: bool,
    /// The override that it needs.
    pub overridden: Option<Override>,
    /// Why the cluster's file can't be changed, although it should: a node is lowered without it.
    pub no_cluster: Option<(Kind, String)>,
    /// Nodes of the file that the cluster does not have; they keep their lines.
    pub strangers: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.ceiling.is_none() && self.cluster.is_none() && self.overridden.is_none()
    }
}

impl Facts {
    /// What was read: the cluster's file, at the path `file`, and the ceiling of `node`.
    pub fn new(file: String, node: String, known: Vec<String>, cluster: Seen, ceiling: Said) -> Self {
        Self { file, node, known, cluster, ceiling, parsed: OnceCell::new() }
    }

    /// The phase that this node is in.
    pub fn effective(&self) -> Effective {
        let cluster = match &self.cluster {
            Seen::Unavailable => Said::Unavailable,
            _ => self.migration().map(|m| m.map(|m| m.node_phase(&self.node))).into(),
        };
        effective(cluster, self.ceiling.clone())
    }

    /// The file's bytes; `None` if there is no file.
    fn bytes(&self) -> Result<Option<&[u8]>> {
        match &self.cluster {
            Seen::Bytes(bytes) => Ok(Some(bytes)),
            Seen::Absent => Ok(None),
            Seen::Unreadable(why) => Err(Error::new(why.clone())),
            Seen::Unavailable => Err(Error::of(Kind::ClusterNotWritable, "/etc/pve is not mounted")
                .way_out("start pve-cluster.service and try again")),
        }
    }

    /// The file's content; `None` if there is no file.
    ///
    /// # Errors
    /// It can't be read or understood.
    pub fn migration(&self) -> Result<Option<Migration>> {
        let read = || {
            let parsed = self.bytes()?.map(|bytes| config::parse_bytes(bytes, &self.file));
            parsed.transpose()
        };
        let parsed = self.parsed.get_or_init(|| read().map_err(|e: Error| (e.kind(), e.to_string())));
        parsed.clone().map_err(|(kind, why)| Error::of(kind, why))
    }

    /// Every node of the cluster, this one included, each once.
    fn nodes(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.known.iter().map(String::as_str).chain([self.node.as_str()]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The phase of a node as far as this one can tell: another's ceiling is its own.
    fn phase_of(&self, node: &str, migration: &Migration) -> Phase {
        if node == self.node { self.effective().phase } else { migration.node_phase(node) }
    }
}

/// What to write for a wish; `overridden` lets larger steps through.
///
/// # Errors
/// [`Kind::Refused`] for a step that is too large, [`Kind::Usage`] for a node or a feature that is not
/// there, and whatever keeps the cluster's file from being read.
pub fn plan(wish: &Wish, facts: &Facts, overridden: Option<&Override>) -> Result<Plan> {
    let mut plan = match wish {
        Wish::Node { node, to } => one(facts, node, *to),
        Wish::AllNodes { to } => all(facts, *to),
        Wish::Feature { name, on } => feature(facts, name, *on),
        Wish::Import { text } => import(facts, text),
        Wish::Lower { to } => lower(facts, *to),
        Wish::Again { ceiling, line } => again(facts, *ceiling, *line),
        Wish::First { ceiling, text } => first(facts, *ceiling, text),
    }?;
    let free = matches!(wish, Wish::Lower { .. } | Wish::Again { .. } | Wish::First { .. });
    let large: Vec<&Step> = plan.steps.iter().filter(|s| step_allowed(s.from, s.to).is_err()).collect();
    if let Some(step) = large.first().filter(|_| !free) {
        match overridden {
            Some(given) => plan.overridden = Some(given.clone()),
            None => {
                let told = step_allowed(step.from, step.to).map_err(|e| match wish {
                    Wish::Node { node, .. } if *node == facts.node => e,
                    _ => e.context(format!("node {}", step.node)),
                });
                return told.map(|()| plan);
            }
        }
    } else if let (Some(given), Wish::Node { .. } | Wish::AllNodes { .. }) = (overridden, wish) {
        // The same phase once more: another reason, or more time, for what an override let through.
        let renews = plan.steps.is_empty();
        plan.overridden = renews.then(|| given.clone());
        if renews && let Wish::Node { node, to } = wish {
            plan.steps.push(Step { node: node.clone(), from: *to, to: *to });
        } else if renews && let Wish::AllNodes { to } = wish {
            plan.steps.extend(facts.nodes().into_iter().map(|n| Step { node: n.to_owned(), from: *to, to: *to }));
        }
    }
    let allowed = match facts.ceiling {
        Said::Phase(ceiling) => ceiling,
        _ => Phase::PerlOnly,
    };
    plan.raises |= plan.steps.iter().any(|s| s.to > s.from)
        || plan.ceiling.is_some_and(|ceiling| ceiling > allowed)
        || plan.overridden.is_some();
    if let Some(text) = &plan.cluster {
        let before = facts.migration().ok().flatten();
        let after = Migration::parse(text, WHOLE)?;
        plan.raises |= raises_a_line(before.as_ref().unwrap_or(&Migration::default()), &after);
        plan.describe_cluster(facts, before, &after);
    }
    plan.describe_ceiling(facts);
    Ok(plan)
}

/// Whether the cluster's file wants more of a node afterwards, though its ceiling may hold it lower.
fn raises_a_line(before: &Migration, after: &Migration) -> bool {
    let mut named = before.nodes.keys().chain(after.nodes.keys());
    after.phase > before.phase || named.any(|node| after.node_phase(node) > before.node_phase(node))
}

impl Plan {
    fn describe_ceiling(&mut self, facts: &Facts) {
        let Some(to) = self.ceiling else { return };
        let from = match &facts.ceiling {
            Said::Phase(phase) => Some(phase.to_string()),
            _ => None,
        };
        self.changes.insert(0, Setting { key: CEILING.to_owned(), from, to: Some(to.to_string()) });
    }

    /// Lists what differs afterwards, key by key.
    fn describe_cluster(&mut self, facts: &Facts, before: Option<Migration>, after: &Migration) {
        let known = before.is_some();
        let (before, after) = (settings(&before.unwrap_or_default()), settings(after));
        for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
            let (from, to) = (before.get(key), after.get(key));
            if from != to {
                self.changes.push(Setting { key: key.clone(), from: from.cloned(), to: to.cloned() });
            }
        }
        if !known || self.changes.is_empty() {
            let from = match &facts.cluster {
                Seen::Bytes(bytes) => Some(sha256(bytes)),
                _ => None,
            };
            let to = self.cluster.as_ref().map(|text| sha256(text.as_bytes()));
            self.changes.push(Setting { key: WHOLE.to_owned(), from, to });
        }
    }

    /// Records a step, unless the phase stays.
    fn step(&mut self, node: &str, from: Phase, to: Phase) {
        if from != to {
            self.steps.push(Step { node: node.to_owned(), from, to });
        }
    }

    fn set_ceiling(&mut self, facts: &Facts, to: Phase) {
        self.ceiling = Some(to).filter(|to| facts.ceiling != Said::Phase(*to));
    }
}

/// Every setting that has a value, by its key in `migration.toml`.
pub fn settings(migration: &Migration) -> BTreeMap<String, String> {
    let all = [
        ("phase", migration.phase.to_string()),
        ("fallback_enabled", migration.fallback_enabled.to_string()),
        ("perl_api_base_url", migration.perl_api_base_url.clone()),
        ("perl_api_timeout", migration.perl_api_timeout.to_string()),
        ("features.rust_cli", migration.features.rust_cli.to_string()),
        ("features.rust_daemon", migration.features.rust_daemon.to_string()),
        ("log_migration_decisions", migration.log_migration_decisions.to_string()),
        ("canary.order", migration.canary_order.join(", ")),
        ("canary.prometheus", migration.canary_prometheus.clone().unwrap_or_default()),
        ("canary.change_window", migration.change_window.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    let nodes = migration.nodes.iter().map(|(node, phase)| (format!("nodes.{node}.phase"), phase.to_string()));
    all.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(nodes).collect()
}

fn one(facts: &Facts, node: &str, to: Phase) -> Result<Plan> {
    let mut plan = Plan::default();
    if node == facts.node {
        let from = facts.effective().phase;
        plan.step(node, from, to);
        plan.set_ceiling(facts, to);
        match edit_text(facts, |text| edit::set_node_phase(text, node, to)) {
            Ok(text) => plan.cluster = text,
            // A node is lowered by its ceiling, even where the cluster's file can't be changed.
            Err(error) if to <= from => plan.no_cluster = Some((error.kind(), error.to_string())),
            Err(error) => return Err(error),
        }
        return Ok(plan);
    }
    let migration = facts.migration()?.unwrap_or_default();
    let nodes = facts.nodes();
    if !nodes.contains(&node) && !migration.nodes.contains_key(node) {
        let known = nodes.join(", ");
        return Err(Error::of(Kind::Usage, format!("there is no node '{node}' in this cluster (there is: {known})")));
    }
    plan.step(node, migration.node_phase(node), to);
    plan.cluster = edit_text(facts, |text| edit::set_node_phase(text, node, to))?;
    Ok(plan)
}

/// Down goes every line, up only those of nodes that the cluster has.
fn all(facts: &Facts, to: Phase) -> Result<Plan> {
    let mut plan = Plan::default();
    let own = facts.effective().phase;
    let migration = match facts.migration() {
        Ok(migration) => migration.unwrap_or_default(),
        // Only this node can be lowered without the file.
        Err(error) if to <= own => {
            plan.step(&facts.node, own, to);
            plan.set_ceiling(facts, to);
            plan.no_cluster = Some((error.kind(), error.to_string()));
            return Ok(plan);
        }
        Err(error) => return Err(error),
    };
    let nodes = facts.nodes();
    for node in &nodes {
        plan.step(node, facts.phase_of(node, &migration), to);
    }
    let stranger = |node: &&String| !nodes.contains(&node.as_str()) && migration.nodes[*node] < to;
    plan.strangers = migration.nodes.keys().filter(stranger).cloned().collect();
    plan.set_ceiling(facts, to);
    plan.cluster = edit_text(facts, |text| {
        let text = edit::set_common_phase(text, to)?;
        let mut lines = migration.nodes.keys().filter(|node| !plan.strangers.contains(node));
        lines.try_fold(text, |text, node| edit::set_node_phase(&text, node, to))
    })?;
    Ok(plan)
}

fn feature(facts: &Facts, name: &str, on: bool) -> Result<Plan> {
    let cluster = edit_text(facts, |text| edit::set_feature(text, name, on))?;
    Ok(Plan { raises: on, cluster, ..Plan::default() })
}

/// The file that is there may be broken: importing a whole one is a way to mend it.
fn import(facts: &Facts, text: &str) -> Result<Plan> {
    let mut plan = Plan::default();
    let after = Migration::parse(text, "the new file")?;
    facts.bytes()?;
    let before = facts.migration().ok().flatten().unwrap_or_default();
    let mut nodes: Vec<String> = facts.nodes().into_iter().map(str::to_owned).collect();
    nodes.extend(before.nodes.keys().chain(after.nodes.keys()).cloned());
    nodes.sort_unstable();
    nodes.dedup();
    for node in nodes {
        plan.step(&node, before.node_phase(&node), after.node_phase(&node));
    }
    plan.raises = after.features.rust_cli && !before.features.rust_cli
        || after.features.rust_daemon && !before.features.rust_daemon;
    plan.cluster = Some(text.to_owned()).filter(|text| facts.cluster != Seen::Bytes(text.as_bytes().to_vec()));
    Ok(plan)
}

fn lower(facts: &Facts, to: Phase) -> Result<Plan> {
    let mut plan = Plan::default();
    let from = facts.effective().phase;
    plan.step(&facts.node, from, from.min(to));
    // Without a readable ceiling nothing above perl-only was allowed before.
    let ceiling = match &facts.ceiling {
        Said::Phase(now) => to.min(*now),
        _ => Phase::PerlOnly,
    };
    plan.set_ceiling(facts, ceiling);
    match facts.migration() {
        // A node that follows the common phase to a low one already needs no line of its own.
        Ok(Some(migration)) if migration.node_phase(&facts.node) > to => {
            let line = edit_text(facts, |text| edit::set_node_phase(text, &facts.node, to));
            plan.cluster = line.unwrap_or_else(|error| {
                plan.no_cluster = Some((error.kind(), error.to_string()));
                None
            });
        }
        Ok(_) => {}
        Err(error) => plan.no_cluster = Some((error.kind(), error.to_string())),
    }
    Ok(plan)
}

fn again(facts: &Facts, ceiling: Option<Phase>, line: Option<Phase>) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut after = facts.clone();
    if let Some(ceiling) = ceiling {
        plan.set_ceiling(facts, ceiling);
        after.ceiling = Said::Phase(ceiling);
    }
    let now = facts.migration()?.unwrap_or_default();
    if let Some(line) = line.filter(|line| now.node_phase(&facts.node) != *line) {
        plan.cluster = edit_text(facts, |text| edit::set_node_phase(text, &facts.node, line))?;
        after.cluster = plan.cluster.clone().map_or(after.cluster, |text| Seen::Bytes(text.into_bytes()));
        after.parsed = OnceCell::new();
    }
    plan.step(&facts.node, facts.effective().phase, after.effective().phase);
    Ok(plan)
}

fn first(facts: &Facts, ceiling: Phase, text: &str) -> Result<Plan> {
    let mut plan = Plan::default();
    if facts.ceiling == Said::Absent {
        plan.ceiling = Some(ceiling);
        let after = Facts { ceiling: Said::Phase(ceiling), ..facts.clone() };
        plan.step(&facts.node, facts.effective().phase, after.effective().phase);
    }
    match &facts.cluster {
        // A file that is there is the operator's, broken or not.
        Seen::Bytes(_) | Seen::Unreadable(_) => {}
        Seen::Absent => plan.cluster = Some(text.to_owned()),
        Seen::Unavailable => plan.no_cluster = facts.bytes().err().map(|e| (e.kind(), e.to_string())),
    }
    Ok(plan)
}

/// The file with one change in it, or nothing if there is nothing to change. Where there is no file it
/// begins as the shipped one.
fn edit_text(facts: &Facts, change: impl FnOnce(&str) -> Result<String>) -> Result<Option<String>> {
    facts.migration()?; // whose error names the file by its path
    let text = facts.bytes()?.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let changed = change(text.unwrap_or(DEFAULT_TOML))?;
    Ok(Some(changed).filter(|changed| text != Some(changed)))
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
