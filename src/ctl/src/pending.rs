//! What an earlier run left to do: one list, for `status`, `health` and whoever else asks.

use history::journal::Contents;
use history::{Store, restore};
use maintscript::removal::{Removal, Resume};
use network::apply::{self, Standing};
use serde::Serialize;

/// Something that an earlier run left to do, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", content = "detail", rename_all = "kebab-case")]
pub(crate) enum Pending {
    /// An apply that somebody is at work on, or that waits for a person. Nothing was left: it is to be let alone.
    Apply(String),
    /// A restore of this node's files was interrupted.
    Restore(String),
    /// Cluster files wait for a cluster that can be written.
    ClusterRestore(String),
    /// Rust operations that neither ended nor went back.
    Unfinished(String),
    /// A removal has begun.
    Removal(String),
    /// A failed configure took a phase away.
    Resume(String),
    /// An abort was interrupted.
    Abort(String),
    /// dpkg has not configured the package to its end.
    Configure(String),
    /// Something of ours that can't be read.
    Damaged(String),
}

impl Pending {
    /// For a person.
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::Apply(text)
            | Self::Restore(text)
            | Self::ClusterRestore(text)
            | Self::Unfinished(text)
            | Self::Removal(text)
            | Self::Resume(text)
            | Self::Abort(text)
            | Self::Configure(text)
            | Self::Damaged(text) => text,
        }
    }

    /// The command that finishes it. `dpkg-reconfigure` runs `postinst`, which takes back what was
    /// killed half-way, mends what is damaged, and keeps the package.
    pub(crate) const fn command(&self) -> &'static str {
        match self {
            Self::Apply(_) => "pvenet status",
            Self::Restore(_) | Self::ClusterRestore(_) => "migration-ctl rollback --resume",
            Self::Resume(_) => "migration-ctl phase resume",
            Self::Abort(_) => "migration-ctl abort --resume",
            Self::Configure(_) => "dpkg --configure -a",
            Self::Unfinished(_) | Self::Removal(_) | Self::Damaged(_) => "dpkg-reconfigure pve-network-rs",
        }
    }

    /// Whether an operator's next step must wait for it.
    pub(crate) const fn urgent(&self) -> bool {
        !matches!(self, Self::Resume(_) | Self::Apply(_))
    }

    /// Lowest first. What has a deadline, then what is half-way in this node's files.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Apply(_) => 0,
            Self::Abort(_) => 1,
            Self::Restore(_) => 2,
            Self::Unfinished(_) => 3,
            Self::ClusterRestore(_) => 4,
            Self::Damaged(_) | Self::Configure(_) => 5,
            Self::Removal(_) => 6,
            Self::Resume(_) => 7,
        }
    }
}

/// All of it; `contents` is the operation journal.
pub(crate) fn find(store: &Store, contents: &Contents) -> Vec<Pending> {
    let mut out = Vec::new();
    match restore::waiting(store) {
        Ok(waiting) => {
            for part in waiting {
                let paths: Vec<String> = part.paths.iter().map(ToString::to_string).collect();
                let paths = paths.join(", ");
                out.push(match part.cluster {
                    true => Pending::ClusterRestore(format!("to be restored in the cluster: {paths}")),
                    false => Pending::Restore(format!("a restore was interrupted: {paths}")),
                });
            }
        }
        Err(error) => out.push(Pending::Damaged(error.to_string())),
    }
    if let Some(abort) = crate::abort::unfinished(store) {
        out.push(Pending::Abort(format!("the abort of {abort} was interrupted")));
    }
    let mut unfinished = contents.unfinished();
    // What somebody is at work on was not left: a command that takes it back must not be named beside it.
    if let Ok(Standing::UnderWay(record)) = apply::standing(store) {
        unfinished.retain(|id| *id != record.id);
        out.push(Pending::Apply(apply::told(&record)));
    }
    if !unfinished.is_empty() {
        out.push(Pending::Unfinished(format!("did not come to its end: operation {}", unfinished.join(", "))));
    }
    match Removal::read(store) {
        Ok(Some(_)) => out.push(Pending::Removal("a removal has begun and is not over".into())),
        Ok(None) if store.fenced() => out.push(Pending::Removal("writers are shut out, as by a removal".into())),
        Ok(None) => {}
        Err(error) => out.push(Pending::Damaged(error.to_string())),
    }
    match Resume::read(store) {
        Ok(Some(resume)) => {
            out.push(Pending::Resume(format!("a failed configure took phase {} away", resume.node_phase)));
        }
        Ok(None) => {}
        Err(error) => out.push(Pending::Damaged(error.to_string())),
    }
    out
}
