//! The phase a node is really in, and why.

use std::fmt;
use std::path::Path;

use host::Result;

use crate::{Phase, read_ceiling, read_migration};

/// What one of the two files says about this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// This phase.
    Phase(Phase),
    /// There is no such file.
    Absent,
    /// It can't be read or understood; the message says why.
    Broken(String),
    /// `/etc/pve` is not mounted, so that nobody can know what the cluster wants.
    Unavailable,
}

impl From<Result<Option<Phase>>> for Said {
    fn from(read: Result<Option<Phase>>) -> Self {
        match read {
            Ok(Some(phase)) => Said::Phase(phase),
            Ok(None) => Said::Absent,
            Err(error) => Said::Broken(error.to_string()),
        }
    }
}

/// Why the effective phase is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Cluster and ceiling agree on this phase.
    Agreed(Phase),
    /// The cluster wants less than the node may do.
    Wanted {
        /// What the cluster wants.
        cluster: Phase,
        /// What the node may at most do.
        ceiling: Phase,
    },
    /// The node may do less than the cluster wants.
    Capped {
        /// What the cluster wants.
        cluster: Phase,
        /// What the node may at most do.
        ceiling: Phase,
    },
    /// There is no `migration.toml`.
    NoClusterFile,
    /// There is no ceiling.
    NoCeiling,
    /// The cluster's wish is not known; the ceiling alone holds.
    ClusterUnavailable(Phase),
    /// A file is broken; the message names it.
    Broken(String),
}

impl Reason {
    /// Whether someone has to mend something.
    pub fn is_problem(&self) -> bool {
        matches!(self, Reason::Broken(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Agreed(phase) => write!(f, "migration.toml and this node's ceiling both say {phase}"),
            Reason::Wanted { cluster, ceiling } => {
                write!(f, "migration.toml says {cluster} for this node (its ceiling is {ceiling})")
            }
            Reason::Capped { cluster, ceiling } => write!(
                f,
                "this node's ceiling is {ceiling}, though migration.toml says {cluster}; \
                 'migration-ctl phase set' on this node raises it"
            ),
            Reason::NoClusterFile => write!(f, "there is no migration.toml: taken as perl-only"),
            Reason::NoCeiling => write!(f, "this node has no ceiling yet: taken as perl-only"),
            Reason::ClusterUnavailable(phase) => {
                write!(f, "/etc/pve is not mounted: this node's ceiling, {phase}, alone holds")
            }
            Reason::Broken(why) => write!(f, "{why}: taken as perl-only"),
        }
    }
}

/// A node's phase with everything that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The phase.
    pub phase: Phase,
    /// Why, never empty.
    pub reasons: Vec<Reason>,
}

impl Effective {
    /// What someone has to mend, to be said loudly.
    pub fn problems(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(|r| r.is_problem())
    }
}

impl fmt::Display for Effective {
    /// One line: `perl-only: reason; reason`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.phase)?;
        for (i, reason) in self.reasons.iter().enumerate() {
            write!(f, "{} {reason}", if i == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// The lower of what the cluster wants of this node and what the node may at most do. What is
/// absent or broken counts as `perl-only`; an unavailable cluster leaves it to the ceiling.
pub fn effective(cluster: impl Into<Said>, ceiling: impl Into<Said>) -> Effective {
    let (cluster, ceiling) = (cluster.into(), ceiling.into());
    if let (Said::Phase(cluster), Said::Phase(ceiling)) = (&cluster, &ceiling) {
        let (cluster, ceiling) = (*cluster, *ceiling);
        let reason = match cluster.cmp(&ceiling) {
            std::cmp::Ordering::Less => Reason::Wanted { cluster, ceiling },
            std::cmp::Ordering::Equal => Reason::Agreed(cluster),
            std::cmp::Ordering::Greater => Reason::Capped { cluster, ceiling },
        };
        return Effective { phase: cluster.min(ceiling), reasons: vec![reason] };
    }
    if let (Said::Unavailable, Said::Phase(ceiling)) = (&cluster, &ceiling) {
        return Effective { phase: *ceiling, reasons: vec![Reason::ClusterUnavailable(*ceiling)] };
    }
    let reason = |said: Said, absent: Reason| match said {
        Said::Broken(why) => Some(Reason::Broken(why)),
        Said::Absent => Some(absent),
        Said::Phase(_) | Said::Unavailable => None,
    };
    let reasons = [reason(cluster, Reason::NoClusterFile), reason(ceiling, Reason::NoCeiling)];
    let mut reasons: Vec<Reason> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() {
        reasons.push(Reason::NoCeiling); // both unavailable: a ceiling is a local file, so never
    }
    Effective { phase: Phase::PerlOnly, reasons }
}

/// Reads both files and says in which phase `node` is. Never fails: what can't be read is among
/// the reasons. Callers that know `/etc/pve` to be unmounted use [`effective`] instead.
pub(crate) fn read_effective(migration_toml: &Path, ceiling: &Path, node: &str) -> Effective {
    let cluster = read_migration(migration_toml).map(|file| file.map(|m| m.node_phase(node)));
    effective(cluster, read_ceiling(ceiling))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> Said {
        Said::Broken("f:1: x".to_owned())
    }

    #[test]
    fn the_lower_one_with_its_reason() {
        use Phase::*;
        use Said::{Absent, Unavailable};
        for (cluster, ceiling, expected) in [
            (
                Said::Phase(RustSdn),
                Said::Phase(RustSdn),
                "rust-sdn: migration.toml and this node's ceiling both say rust-sdn",
            ),
            (
                Said::Phase(PerlOnly),
                Said::Phase(RustSdn),
                "perl-only: migration.toml says perl-only for this node (its ceiling is rust-sdn)",
            ),
            (
                Said::Phase(RustFull),
                Said::Phase(RustReadOnly),
                "rust-read-only: this node's ceiling is rust-read-only, though migration.toml says rust-full; 'migration-ctl phase set' on this node raises it",
            ),
            (Absent, Said::Phase(RustFull), "perl-only: there is no migration.toml: taken as perl-only"),
            (Said::Phase(RustFull), Absent, "perl-only: this node has no ceiling yet: taken as perl-only"),
            (broken(), Said::Phase(RustFull), "perl-only: f:1: x: taken as perl-only"),
            (Said::Phase(RustFull), broken(), "perl-only: f:1: x: taken as perl-only"),
            (
                broken(),
                Absent,
                "perl-only: f:1: x: taken as perl-only; this node has no ceiling yet: taken as perl-only",
            ),
            (
                Unavailable,
                Said::Phase(RustSdn),
                "rust-sdn: /etc/pve is not mounted: this node's ceiling, rust-sdn, alone holds",
            ),
            (Unavailable, Absent, "perl-only: this node has no ceiling yet: taken as perl-only"),
            (Unavailable, broken(), "perl-only: f:1: x: taken as perl-only"),
        ] {
            let problems = [&cluster, &ceiling].into_iter().filter(|s| matches!(s, Said::Broken(_))).count();
            let found = effective(cluster, ceiling);
            assert_eq!(found.to_string(), expected);
            assert_eq!(found.problems().count(), problems, "{expected}");
        }
    }

    #[test]
    fn never_above_either_and_never_without_a_reason() {
        let all = || {
            let phases = Phase::ALL.map(Said::Phase);
            phases.into_iter().chain([Said::Absent, broken(), Said::Unavailable])
        };
        for cluster in all() {
            for ceiling in all() {
                let found = effective(cluster.clone(), ceiling.clone());
                let most = |said: &Said, unavailable| match said {
                    Said::Phase(phase) => *phase,
                    Said::Unavailable => unavailable,
                    _ => Phase::PerlOnly,
                };
                let expected = most(&cluster, Phase::RustFull).min(most(&ceiling, Phase::PerlOnly));
                assert_eq!(found.phase, expected, "{cluster:?} {ceiling:?}");
                assert!(!found.reasons.is_empty());
            }
        }
    }

    #[test]
    fn from_the_files_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (toml, ceiling) = (dir.path().join("migration.toml"), dir.path().join("ceiling"));
        let phase = || read_effective(&toml, &ceiling, "a");
        assert_eq!(phase().reasons, [Reason::NoClusterFile, Reason::NoCeiling]);
        std::fs::write(&toml, "phase = 'rust-sdn'\n[nodes.a]\nphase = 'rust-read-only'\n").unwrap();
        std::fs::write(&ceiling, crate::ceiling::render(Phase::RustFull)).unwrap();
        assert_eq!(phase().phase, Phase::RustReadOnly);
        assert_eq!(read_effective(&toml, &ceiling, "b").phase, Phase::RustSdn);
        std::fs::write(&toml, "phase = 'rust-sdnn'\n").unwrap();
        let said = phase().to_string();
        assert!(said.starts_with("perl-only: ") && said.contains("migration.toml:1: "), "{said}");
    }
}
