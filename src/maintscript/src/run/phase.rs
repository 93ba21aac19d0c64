//! This node's phase: set once by a first install, and lowered by a failure or a removal.

use std::path::{Path, PathBuf};

use host::cluster::State;
use host::{Cluster, Kind, Result, cluster, files};
use phase::{Phase, Switch};
use serde::{Deserialize, Serialize};

use super::Runner;
use crate::removal::{Removal, Resume};

/// `made.json`: what a first install created outside its own folders, so that purge removes no
/// more than that.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Made {
    format: u64,
    /// The phase file.
    pub(super) files: Vec<PathBuf>,
    /// Folders made for it, outermost first.
    pub(super) folders: Vec<PathBuf>,
}

impl Runner<'_> {
    pub(super) fn made(&self) -> Made {
        history::state::read(&self.cx.store.path("made.json"))
            .unwrap_or_else(|error| {
                self.say(error);
                None
            })
            .unwrap_or_default()
    }

    /// The ceiling first: with it a node is safe even if the cluster can't be written.
    pub(super) fn defaults(&self) -> Result<()> {
        let Some((switch, safe)) = &self.cx.switch else { return Ok(()) };
        if switch.ceiling().is_ok_and(|c| c.is_none()) {
            switch.set_ceiling(*safe)?;
        }
        match cluster::read(&self.cx.root, &switch.migration, phase::config::MAX_SIZE) {
            Ok(None) => {}
            // A file that is there is the operator's, broken or not.
            Ok(Some(_)) => return Ok(()),
            Err(error) => {
                self.say(error);
                return Ok(());
            }
        }
        let file = Cluster::new(&self.cx.root, &switch.node);
        if file.state() == State::Plain {
            self.remember_made(&switch.migration)?;
        }
        match file.replace(&switch.migration, None, self.template(*safe).as_bytes()) {
            Err(error) if error.kind() == Kind::Refused => Ok(()), // another node was quicker
            Err(error) if error.kind() == Kind::ClusterNotWritable => {
                self.say(format_args!("{error}; until then this node's ceiling, {safe}, holds alone"));
                Ok(())
            }
            done => done,
        }
    }

    fn template(&self, safe: Phase) -> String {
        let path = self.cx.policy.phase.as_ref().and_then(|p| p.template.as_ref());
        let text = path.and_then(|p| files::read_plain(&self.cx.root.path(p), phase::config::MAX_SIZE).ok().flatten());
        let text = text.and_then(|b| String::from_utf8(b).ok());
        let usable = |t: &String| phase::Migration::parse(t, "template").is_ok_and(|m| m.phase == safe);
        text.filter(usable).unwrap_or_else(|| format!("phase = \"{safe}\"\n"))
    }

    fn remember_made(&self, file: &Path) -> Result<()> {
        let mut made = self.made();
        made.format = history::state::FORMAT;
        if !made.files.contains(&file.to_owned()) {
            made.files.push(file.to_owned());
        }
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in file.ancestors().skip(1) {
            if self.cx.root.path(folder).exists() {
                break;
            }
            folders.insert(0, folder.to_owned());
        }
        made.folders.extend(folders.into_iter().filter(|f| !made.folders.contains(f)).collect::<Vec<_>>());
        history::state::write(&self.cx.store.path("made.json"), &made, 0o644)
    }

    /// What this node's two files say now, for going back to it.
    fn standing(&self, switch: &Switch) -> (Option<Phase>, Option<Phase>) {
        let text = cluster::read(&self.cx.root, &switch.migration, phase::config::MAX_SIZE).ok().flatten();
        let text = text.and_then(|b| String::from_utf8(b).ok());
        let node =
            text.and_then(|t| phase::Migration::parse(&t, "migration.toml").ok()).map(|m| m.node_phase(&switch.node));
        (switch.ceiling().ok().flatten(), node)
    }

    /// Lowers this node to the safe phase: its ceiling always, the cluster's line if it can be
    /// written.
    pub(super) fn safe_phase(&self) -> Result<()> {
        let Some((switch, safe)) = &self.cx.switch else { return Ok(()) };
        let (ceiling, node) = self.standing(switch);
        let mut removal = Removal::known(&self.cx.store);
        if let Some(removal) = removal.as_mut().filter(|r| r.ceiling.is_none() && r.node_phase.is_none()) {
            removal.ceiling = ceiling.map(|p| p.to_string());
            removal.node_phase = node.map(|p| p.to_string());
            removal.write(&self.cx.store)?;
        } else if removal.is_none()
            && let (Some(ceiling), Some(node)) = (ceiling, node)
            && ceiling > *safe
        {
            Resume::remember(&self.cx.store, ceiling, node)?;
        }
        switch.set_ceiling(*safe)?;
        // A node that follows the common phase to the safe one already needs no line of its own.
        let written = if node == Some(*safe) { Ok(false) } else { switch.set_in_cluster(*safe) };
        if let Some(removal) = removal.as_mut().filter(|r| r.phase_pending != written.is_err()) {
            removal.phase_pending = written.is_err();
            removal.write(&self.cx.store)?;
        }
        match written {
            Ok(_) => Ok(()),
            Err(error) => {
                self.say(format_args!(
                    "this node is at {safe} by its own ceiling; its line in {} stays for now: {error}",
                    switch.migration.display()
                ));
                Ok(())
            }
        }
    }

    /// An aborted removal gives back the phases that it took.
    pub(super) fn phases_again(&self, removal: &Removal) -> Result<()> {
        let Some((switch, _)) = &self.cx.switch else { return Ok(()) };
        if let Some(phase) = removal.ceiling.as_deref().and_then(Phase::from_name) {
            switch.set_ceiling(phase)?;
        }
        let before = removal.node_phase.as_deref().and_then(Phase::from_name);
        if let Some(phase) = before.filter(|_| before != self.standing(switch).1) {
            switch.set_in_cluster(phase)?;
        }
        Ok(())
    }
}
