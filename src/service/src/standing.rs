//! Where this node stands: its name and phase, as the disk has them now.

use host::cluster::State;
use host::{Cluster, Root};
use phase::{Effective, Phase, Reason, Said};

const MIGRATION: &str = "/etc/pve/network/migration.toml";
const CEILING: &str = "/var/lib/pve-network-rs/ceiling";

/// Node, phase, and what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub node: Option<String>,
    pub phase: Phase,
    pub cluster_phase: Option<Phase>,
    pub ceiling: Option<Phase>,
    pub problems: Vec<String>,
}

impl Standing {
    /// Reads everything anew. May block as long as `/etc/pve` does.
    pub(crate) fn read(root: &Root) -> Self {
        let node = host::node_name(root);
        let cluster = match Cluster::new(root, &node).state() {
            State::Unmounted => Said::Unavailable,
            _ => phase::read_migration(&root.path(MIGRATION)).map(|file| file.map(|m| m.node_phase(&node))).into(),
        };
        let ceiling = phase::read_ceiling(&root.path(CEILING)).into();
        Self::of(node, cluster, ceiling)
    }

    fn of(node: String, cluster: Said, ceiling: Said) -> Self {
        let (cluster_phase, ceiling_phase) = (said(&cluster), said(&ceiling));
        let Effective { phase, reasons } = phase::effective(cluster, ceiling);
        let problems = reasons.iter().filter(|reason| is_problem(reason)).map(Reason::to_string);
        Self { node: Some(node), phase, cluster_phase, ceiling: ceiling_phase, problems: problems.collect() }
    }

    /// Nothing could be read, for the reason given.
    pub(crate) fn unknown(problem: String) -> Self {
        Self { node: None, phase: Phase::PerlOnly, cluster_phase: None, ceiling: None, problems: vec![problem] }
    }
}

fn said(said: &Said) -> Option<Phase> {
    match said {
        Said::Phase(phase) => Some(*phase),
        Said::Absent | Said::Broken(_) | Said::Unavailable => None,
    }
}

/// An unmounted `/etc/pve` is no one's mistake, but nothing that health may keep quiet about.
fn is_problem(reason: &Reason) -> bool {
    reason.is_problem() || matches!(reason, Reason::ClusterUnavailable(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{PerlOnly, RustFull, RustReadOnly};

    #[test]
    fn the_table() {
        let broken = || Said::Broken("m.toml:1: what?".to_owned());
        let cases = [
            (Said::Phase(RustFull), Said::Phase(RustReadOnly), RustReadOnly, 0),
            (Said::Phase(PerlOnly), Said::Phase(RustFull), PerlOnly, 0),
            (Said::Absent, Said::Phase(RustFull), PerlOnly, 0),
            (Said::Phase(RustFull), Said::Absent, PerlOnly, 0),
            (Said::Unavailable, Said::Phase(RustReadOnly), RustReadOnly, 1),
            (broken(), Said::Phase(RustFull), PerlOnly, 1),
            (broken(), broken(), PerlOnly, 2),
        ];
        for (cluster, ceiling, phase, problems) in cases {
            let standing = Standing::of("n".to_owned(), cluster.clone(), ceiling.clone());
            let found = (standing.phase, standing.problems.len());
            assert_eq!(found, (phase, problems), "{cluster:?} {ceiling:?}");
        }
    }

    #[test]
    fn an_unmounted_cluster_leaves_it_to_the_ceiling() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        for (path, text) in [("usr/bin/pmxcfs", ""), (CEILING, "rust-read-only\n"), (MIGRATION, "phase = 'rust-full'")]
        {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let standing = Standing::read(&root);
        assert_eq!((standing.phase, standing.cluster_phase), (RustReadOnly, None));
        assert!(standing.problems[0].contains("not mounted"), "{:?}", standing.problems);
    }
}
