//! Who wrote what stands at a path: the question on which every going-back turns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::journal::{Backend, Event, Journal};

/// What the journal says of every content it ever saw.
#[derive(Debug, Clone)]
pub enum Provenance {
    /// There is no journal, or it can't be read.
    Unknown {
        /// The reason, for a person.
        why: String,
    },
    /// What it says.
    Known(Known),
}

/// Contents by path.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Contents that only Rust has written there, each with the last operation that did.
    trial: BTreeMap<(Box<Path>, String), String>,
    /// Contents that stood there before Rust ever wrote them, or that somebody else wrote.
    foreign: BTreeSet<(Box<Path>, String)>,
}

impl Provenance {
    pub(crate) const MISSING: &'static str = "the operation journal is missing";

    /// Reads it from the journal.
    pub fn read(journal: &Journal) -> Self {
        match journal.read() {
            Ok(Some(contents)) => Self::of(&contents.events),
            Ok(None) => Self::Unknown { why: Self::MISSING.into() },
            Err(error) => Self::Unknown { why: error.to_string() },
        }
    }

    /// Reads it from events in the order in which they were written.
    ///
    /// A content is on trial if Rust wrote it and nothing shows it there earlier: so `A -> B -> A`
    /// by Rust leaves `A` the admin's, who had it first.
    pub fn of(events: &[Event]) -> Self {
        let mut known = Known::default();
        for event in events {
            match event {
                Event::Begin { id, backend, paths, .. } => {
                    for (path, written) in paths {
                        let key = |digest: &str| (Box::from(path.as_path()), digest.to_owned());
                        if !known.trial.contains_key(&key(&written.before)) {
                            known.foreign.insert(key(&written.before));
                        }
                        match backend {
                            Backend::Rust if !known.foreign.contains(&key(&written.after)) => {
                                known.trial.insert(key(&written.after), id.clone());
                            }
                            Backend::Legacy => {
                                known.trial.remove(&key(&written.after));
                                known.foreign.insert(key(&written.after));
                            }
                            Backend::Rust | Backend::Restore => {}
                        }
                    }
                }
                Event::Accept { paths, .. } => {
                    for (path, digest) in paths {
                        let key = (Box::from(path.as_path()), digest.clone());
                        known.trial.remove(&key);
                        known.foreign.insert(key);
                    }
                }
                Event::End { .. } | Event::Note { .. } | Event::Unknown => {}
            }
        }
        Self::Known(known)
    }

    /// The operation that put `digest` at `path`, if that content is Rust's and not yet accepted.
    pub fn on_trial(&self, path: &Path, digest: &str) -> Option<&str> {
        match self {
            Self::Unknown { .. } => None,
            Self::Known(known) => known.trial.get(&(Box::from(path), digest.to_owned())).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Written;

    fn wrote(backend: Backend, before: &str, after: &str) -> Event {
        Event::Begin {
            id: format!("{before}{after}"),
            time: 0,
            backend,
            tool: "t".into(),
            phase: "rust-full".into(),
            snapshot: None,
            transaction: None,
            paths: [("/f".into(), Written { before: before.into(), after: after.into() })].into(),
        }
    }

    fn accept(digest: &str) -> Event {
        Event::Accept { time: 0, by: "admin".into(), reason: "r".into(), paths: [("/f".into(), digest.into())].into() }
    }

    #[test]
    fn who_wrote_what() {
        use Backend::{Legacy, Restore, Rust};
        let cases: &[(&str, Vec<Event>, &[&str])] = &[
            ("nothing written", vec![], &[]),
            ("Rust wrote B", vec![wrote(Rust, "A", "B")], &["B"]),
            ("Rust there and back: A was the admin's", vec![wrote(Rust, "A", "B"), wrote(Rust, "B", "A")], &["B"]),
            ("Perl wrote the same", vec![wrote(Rust, "A", "B"), wrote(Legacy, "A", "B")], &[]),
            ("Perl wrote after", vec![wrote(Rust, "A", "B"), wrote(Legacy, "B", "C")], &["B"]),
            (
                "restored, then on top of the admin's C",
                vec![wrote(Rust, "A", "B"), wrote(Restore, "B", "A"), wrote(Rust, "C", "D")],
                &["B", "D"],
            ),
            ("accepted", vec![wrote(Rust, "A", "B"), accept("B"), wrote(Rust, "B", "C")], &["C"]),
            (
                "accepted before it was written counts for what stood then",
                vec![accept("B"), wrote(Rust, "A", "B")],
                &[],
            ),
            ("Rust deleted it", vec![wrote(Rust, "A", "absent")], &["absent"]),
        ];
        for (name, events, trial) in cases {
            let provenance = Provenance::of(events);
            for digest in ["A", "B", "C", "D", "absent"] {
                let is = provenance.on_trial(Path::new("/f"), digest).is_some();
                assert_eq!(is, trial.contains(&digest), "{name}: {digest}");
            }
            assert!(provenance.on_trial(Path::new("/other"), "B").is_none());
        }
    }
}
