//! Changing the phase of a node: its own ceiling, and its line in the cluster's file.

use std::path::PathBuf;

use host::cluster::State;
use host::files::{self, Attributes};
use host::{Cluster, Kind, Result, Root, cluster};

use crate::{Effective, Phase, Said, ceiling, config, edit, effective, read_effective};

/// Where a node's phase is written.
#[derive(Debug, Clone)]
pub struct Switch {
    /// Where `/` is.
    pub root: Root,
    /// The node.
    pub node: String,
    /// `migration.toml`, as seen inside the root.
    pub migration: PathBuf,
    /// The ceiling, as seen inside the root.
    pub ceiling: PathBuf,
}

/// How often a change is tried again when another node changed the file meanwhile.
const TRIES: usize = 5;

impl Switch {
    /// The phase that this node is in.
    pub fn effective(&self) -> Effective {
        let unmounted = Cluster::new(&self.root, &self.node).state() == State::Unmounted;
        if unmounted && self.migration.starts_with(cluster::MOUNT) {
            return effective(Said::Unavailable, self.ceiling());
        }
        read_effective(&self.root.path(&self.migration), &self.root.path(&self.ceiling), &self.node)
    }

    /// What this node may at most do; `None` if nobody has said so yet.
    pub fn ceiling(&self) -> Result<Option<Phase>> {
        ceiling::read_ceiling(&self.root.path(&self.ceiling))
    }

    /// Sets what this node may at most do. Needs no cluster.
    pub fn set_ceiling(&self, phase: Phase) -> Result<()> {
        let path = self.root.path(&self.ceiling);
        if ceiling::read_ceiling(&path).is_ok_and(|now| now == Some(phase)) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            files::create_dirs(parent, 0o755)?;
        }
        files::replace(&path, ceiling::render(phase).as_bytes(), &Attributes::mode(0o644))
    }

    /// Sets this node's line in the cluster's file and leaves every other line as it is. Says
    /// whether anything changed; without the file there is nothing to change.
    pub fn set_in_cluster(&self, phase: Phase) -> Result<bool> {
        let cluster = Cluster::new(&self.root, &self.node);
        for attempt in 1.. {
            let Some(now) = cluster::read(&self.root, &self.migration, config::MAX_SIZE)? else { return Ok(false) };
            let file = self.migration.display();
            let text = String::from_utf8(now.clone()).map_err(|_| host::Error::new(format!("{file} is not UTF-8")))?;
            let migration = crate::Migration::parse(&text, &file.to_string())?;
            // A line of its own even where the common phase is the same: that one may change.
            if migration.nodes.get(&self.node) == Some(&phase) {
                return Ok(false);
            }
            let changed = edit::set_node_phase(&text, &self.node, phase)?;
            match cluster.replace(&self.migration, Some(&now), changed.as_bytes()) {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == Kind::Refused && attempt < TRIES => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
