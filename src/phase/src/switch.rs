//! A node's phase on its real disk: its own ceiling, its line in the cluster's file, its history.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use host::cluster::State;
use host::files::{self, Attributes};
use host::{Clock, Cluster, Error, Result, Root, cluster};

use crate::change::{Facts, Plan, Seen, Wish, plan};
use crate::effective::read_effective;
use crate::machine::{Disk, Done, Machine, Request};
use crate::{
    Effective, Event, History, OpenOverride, Override, Phase, Said, Who, ceiling, config, effective, history,
    step_allowed,
};

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

impl Switch {
    /// The phase that this node is in.
    pub fn effective(&self) -> Effective {
        if self.unmounted() {
            return effective(Said::Unavailable, self.ceiling());
        }
        read_effective(&self.root.path(&self.migration), &self.root.path(&self.ceiling), &self.node)
    }

    /// What this node may at most do; `None` if nobody has said so yet.
    pub fn ceiling(&self) -> Result<Option<Phase>> {
        ceiling::read_ceiling(&self.root.path(&self.ceiling))
    }

    /// Who changed this node's phase, when, and why.
    pub fn history(&self, clock: Clock) -> History {
        History::at(self.root.path(&self.ceiling).with_file_name(history::FILE), clock)
    }

    /// Overrides of this node's history whose effect still stands at `now` (seconds since the epoch).
    ///
    /// # Errors
    /// The history can't be read.
    pub fn open_overrides(&self, now: i64) -> Result<Vec<OpenOverride>> {
        let mut open = self.history(Clock::System).read()?.open_overrides(now);
        let facts = self.facts();
        let migration = facts.migration().ok().flatten();
        // What was lowered since by another node, or by hand, is in no history of ours.
        open.retain(|open| {
            let now = match &migration {
                _ if open.node == self.node => facts.effective().phase,
                Some(migration) => migration.node_phase(&open.node),
                None => Phase::PerlOnly,
            };
            step_allowed(open.from, now).is_err()
        });
        Ok(open)
    }

    /// What a change is decided on, as the disk has it now.
    pub fn facts(&self) -> Facts {
        let file = self.migration.display().to_string();
        Facts::new(file, self.node.clone(), self.known(), self.seen(), self.ceiling().into())
    }

    /// What [`Switch::change`] would write now.
    ///
    /// # Errors
    /// As [`plan`].
    pub fn plan(&self, wish: &Wish, overridden: Option<&Override>) -> Result<Plan> {
        plan(wish, &self.facts(), overridden)
    }

    /// Makes a change. The caller holds the lock that all writers of this node hold.
    ///
    /// # Errors
    /// It is refused, can't be recorded although it raises a phase, or can't be written; nothing is
    /// half done but what the message says.
    pub fn change(
        &self,
        wish: Wish,
        overridden: Option<Override>,
        by: Who,
        why: impl Into<String>,
        clock: Clock,
    ) -> Result<Done> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            id: format!("{}-{}-{count}", clock.now().compact(), std::process::id()),
            node: self.node.clone(),
            file: self.migration.display().to_string(),
            known: self.known(),
            wish,
            overridden,
            by,
            why: why.into(),
        };
        Machine::new(request).run(&mut Real { switch: self, history: self.history(clock) })
    }

    /// The cluster's nodes, by their folders.
    pub fn known(&self) -> Vec<String> {
        let folder = self.root.path(cluster::MOUNT).join("nodes");
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            names.filter_map(|e| e.file_name().into_string().ok()).filter(|name| config::is_node_name(name)).collect();
        names.sort();
        names
    }

    fn unmounted(&self) -> bool {
        self.migration.starts_with(cluster::MOUNT) && Cluster::new(&self.root, &self.node).state() == State::Unmounted
    }

    fn seen(&self) -> Seen {
        if self.unmounted() {
            return Seen::Unavailable;
        }
        match cluster::read(&self.root, &self.migration, config::MAX_SIZE) {
            Ok(Some(bytes)) => Seen::Bytes(bytes),
            Ok(None) => Seen::Absent,
            Err(error) => Seen::Unreadable(error.to_string()),
        }
    }
}

/// The files of a node.
struct Real<'a> {
    switch: &'a Switch,
    history: History,
}

impl Disk for Real<'_> {
    fn cluster(&mut self) -> Seen {
        self.switch.seen()
    }

    fn ceiling(&mut self) -> Said {
        self.switch.ceiling().into()
    }

    fn append(&mut self, event: Event) -> Result<()> {
        self.history.append(event)
    }

    fn set_ceiling(&mut self, phase: Phase) -> Result<()> {
        let path = self.switch.root.path(&self.switch.ceiling);
        if let Some(parent) = path.parent() {
            files::create_dirs(parent, 0o755)?;
        }
        files::replace(&path, ceiling::render(phase).as_bytes(), &Attributes::mode(0o644))
    }

    fn replace(&mut self, expected: Option<&[u8]>, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > config::MAX_SIZE {
            let file = self.switch.migration.display();
            return Err(Error::new(format!(
                "{file} would be larger than {} bytes, and is left as it is",
                config::MAX_SIZE
            )));
        }
        Cluster::new(&self.switch.root, &self.switch.node).replace(&self.switch.migration, expected, bytes)
    }
}
