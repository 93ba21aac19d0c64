//! From the disk and from Prometheus to [`Facts`]. Nothing here fails or decides: what can't be had is a fact too.

pub mod contract;
pub mod decisions;
pub mod journal;
pub mod overrides;
pub mod prometheus;
pub mod standing;

use history::Store;
use host::Root;
use maintscript::Policy;
use phase::{Phase, Switch};

use crate::facts::{FORMAT, Facts, Said};
use crate::gate::{self, limits};
use prometheus::Server;

/// The node that is judged.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its store.
    pub store: Store,
    /// Its phase files.
    pub switch: Switch,
}

impl Node {
    /// The node whose system is at `root`.
    ///
    /// # Errors
    /// The `hooks.toml` that this program was built with is unusable.
    pub fn at(root: &Root, clock: host::Clock) -> host::Result<Self> {
        let policy = Policy::parse(include_str!("../../../../debian/hooks.toml"))?;
        let store = policy.store(root, clock);
        let (switch, _) = policy.switch(root).ok_or_else(|| host::Error::new("hooks.toml names no phase file"))?;
        Ok(Self { store, switch })
    }
}

/// Where the witnesses are to be found.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Prometheus; none is not asked.
    pub server: Option<Server>,
    /// Labels of a node's series, `{node}` standing for its name.
    pub selector: String,
    /// The report of contract-test; the newest of `/var/log/pve-network` if none is named.
    pub contract: Option<std::path::PathBuf>,
}

/// Reads everything that a gate for `wanted` is decided on.
pub fn facts(node: &Node, wanted: Phase, sources: &Sources) -> Facts {
    let now = node.store.clock.now().seconds();
    let name = node.switch.node.clone();
    let standing = standing::standing(&node.switch);
    let ahead = standing.get().map(|s| gate::ahead(&s.order, &name)).unwrap_or_default();
    let window = limits::window(wanted, now);
    let questions = gate::questions(wanted, now, &name, &ahead, &sources.selector);
    let prometheus = match &sources.server {
        _ if questions.is_empty() => {
            Said::Missing("Prometheus has nothing to say of this step, and was not asked".into())
        }
        None => Said::Missing(
            "no Prometheus is named: [canary] prometheus = \"http://…:9090\" in migration.toml, or --prometheus".into(),
        ),
        Some(server) => server.ask(&questions, &sources.selector).into(),
    };
    Facts {
        format: FORMAT,
        now,
        wanted,
        past: standing::past(&node.switch, &node.store, now).into(),
        standing,
        journal: journal::read(&node.store.journal(), journal::Since::of(wanted, now)).into(),
        decisions: decisions::read(&node.store.root, window.from).into(),
        contract: contract::read(&node.store.root, sources.contract.as_deref()).into(),
        prometheus,
        node: name,
    }
}
