//! What has to hold, whatever went wrong. Pure: from states to violations.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::state::State;

/// When a state was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Right after the run with the fault.
    Faulted,
    /// After what heals it.
    Healed,
    /// After `dpkg -r`.
    Removed,
    /// After installing again.
    Installed,
    /// After `dpkg -P`.
    Purged,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faulted => "after the fault",
            Self::Healed => "healed",
            Self::Removed => "removed",
            Self::Installed => "installed again",
            Self::Purged => "purged",
        })
    }
}

/// Digests of captured paths in one of the states that `seed` names.
pub type Digests = BTreeMap<PathBuf, String>;

/// What a state is judged by.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The sets that may stand, by name.
    pub sets: Vec<(&'static str, Digests)>,
    /// What others saved in the moment of the fault.
    pub saved: Vec<Saved>,
    /// Phases of other nodes before.
    pub others: Option<Vec<(String, String)>>,
    /// Paths of enabled units before.
    pub enabled: Vec<PathBuf>,
    /// The package's state, where it is known.
    pub status: Option<&'static str>,
    /// Whether a script has run to its end since the fault, and so has tidied up.
    pub tidy: bool,
    /// Whether nothing stood in the way of finishing what was begun: a set has to be whole.
    pub whole: bool,
    /// Whether an installed package has the snapshot from before its first install.
    pub has_first: bool,
}

/// A file that somebody else saved.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Who.
    pub who: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Its digest.
    pub digest: String,
    /// What may stand there instead, until the package is removed: a writer that looked only afterwards has replaced
    /// it, as whoever saves last does, and has it in its snapshot.
    pub until_removed: Option<String>,
}

/// Everything that is wrong with a state.
pub fn violations(when: When, now: &State, expected: &Expected) -> Vec<String> {
    let mut out = Vec::new();
    for (id, why) in &now.snapshots {
        if let Some(why) = why {
            out.push(format!("snapshot {id} shows and can't be trusted: {why}"));
        }
    }
    out.extend(captured(&now.captured, expected));
    // A first install may bring the phase file, and every node is at the safe phase then as before.
    if expected.others.is_some() && now.others != expected.others {
        out.push(format!("other nodes' phases were {:?} and are {:?}", expected.others, now.others));
    }
    for path in now.enabled.iter().filter(|p| !expected.enabled.contains(p)) {
        out.push(format!("{} became enabled", path.display()));
    }
    for path in &now.foreign {
        out.push(format!("{} was changed and is none of the package's business", path.display()));
    }
    // Of a package that makes room for another dpkg still says that it is wanted: `ic`.
    let reached = |status: &str| now.status == status || (status == "rc" && now.status == "ic");
    if let Some(status) = expected.status.filter(|s| !reached(s)) {
        out.push(format!("the package is {} instead of {status}", now.status));
    }
    // Right after a kill dpkg may not have got round to saying that the package is gone.
    if when != When::Faulted && expected.has_first && now.status == "ii" && !now.has_first {
        out.push("the snapshot from before the first install is lost".to_owned());
    }
    if expected.tidy {
        for path in &now.temporary {
            out.push(format!("{} is litter", path.display()));
        }
    }
    if expected.tidy && now.status == "ii" {
        for path in &now.unfinished {
            out.push(format!("{} is left of a run that is over", path.display()));
        }
    }
    out
}

/// Every file old or new; once healed, all of them together.
fn captured(now: &Digests, expected: &Expected) -> Vec<String> {
    let mut now = now.clone();
    let mut sets = expected.sets.clone();
    let mut out = Vec::new();
    for Saved { who, path, digest, until_removed } in &expected.saved {
        let is = now.get(path);
        if is != Some(digest) && (is.is_none() || is != until_removed.as_ref()) {
            out.push(format!("{who}'s {} was lost", path.display()));
        }
        now.remove(path);
        for (_, set) in &mut sets {
            set.remove(path);
        }
    }
    if sets.iter().any(|(_, set)| *set == now) {
        return out;
    }
    let states = |path: &Path, digest: Option<&String>| -> Vec<&'static str> {
        sets.iter().filter(|(_, set)| set.get(path) == digest).map(|(name, _)| *name).collect()
    };
    let mut paths: Vec<&PathBuf> = now.keys().chain(sets.iter().flat_map(|(_, s)| s.keys())).collect();
    paths.sort();
    paths.dedup();
    let mut seen = Vec::new();
    for path in paths {
        match states(path, now.get(path)) {
            of if of.is_empty() => {
                let allowed: Vec<&str> = sets.iter().map(|(name, _)| *name).collect();
                let is = if now.contains_key(path) { "something else" } else { "gone" };
                out.push(format!("{} is {is}, not as in {}", path.display(), allowed.join(" or ")));
            }
            of if of.len() < sets.len() => seen.push(format!("{} is {}", path.display(), of.join("/"))),
            _ => {}
        }
    }
    if out.is_empty() && expected.whole {
        out.push(format!("torn set: {}", seen.join(", ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Digests {
        pairs.iter().map(|(p, d)| (PathBuf::from(p), (*d).to_owned())).collect()
    }

    fn expected() -> Expected {
        Expected {
            sets: vec![
                ("a", set(&[("/x", "1"), ("/y", "1"), ("/z", "0")])),
                ("b", set(&[("/x", "2"), ("/y", "2"), ("/z", "0")])),
            ],
            others: Some(vec![("other".into(), "rust-full".into())]),
            ..Expected::default()
        }
    }

    fn state(captured: &[(&str, &str)]) -> State {
        State {
            captured: set(captured),
            others: expected().others,
            status: "ii".into(),
            has_first: true,
            ..State::default()
        }
    }

    #[test]
    fn old_or_new_and_as_a_set() {
        let good = state(&[("/x", "2"), ("/y", "2"), ("/z", "0")]);
        assert!(violations(When::Healed, &good, &expected()).is_empty());
        let torn = state(&[("/x", "1"), ("/y", "2"), ("/z", "0")]);
        assert!(violations(When::Faulted, &torn, &expected()).is_empty(), "the next call mends it");
        let whole = Expected { whole: true, ..expected() };
        assert_eq!(violations(When::Healed, &torn, &whole), ["torn set: /x is a, /y is b"]);
        let half = state(&[("/x", "?"), ("/y", "2"), ("/z", "0")]);
        assert_eq!(violations(When::Faulted, &half, &expected()), ["/x is something else, not as in a or b"]);
        let gone = state(&[("/x", "1"), ("/y", "1")]);
        assert_eq!(violations(When::Faulted, &gone, &expected()), ["/z is gone, not as in a or b"]);
    }

    #[test]
    fn the_admins_write_stays() {
        let by = |until_removed: Option<&str>| {
            let until_removed = until_removed.map(str::to_owned);
            let saved = Saved { who: "the admin", path: "/x".into(), digest: "9".into(), until_removed };
            Expected { saved: vec![saved], ..expected() }
        };
        let saved = by(None);
        assert!(violations(When::Purged, &state(&[("/x", "9"), ("/y", "1"), ("/z", "0")]), &saved).is_empty());
        let lost = violations(When::Purged, &state(&[("/x", "1"), ("/y", "1"), ("/z", "0")]), &saved);
        assert_eq!(lost, ["the admin's /x was lost"]);
        // Where a writer looked only afterwards.
        for (x, lost) in [("9", 0), ("1", 0), ("0", 1)] {
            let now = state(&[("/x", x), ("/y", "1"), ("/z", "0")]);
            assert_eq!(violations(When::Faulted, &now, &by(Some("1"))).len(), lost, "{x}");
        }
    }

    #[test]
    fn each_rule_is_able_to_fail() {
        let good = state(&[("/x", "1"), ("/y", "1"), ("/z", "0")]);
        type Spoil = fn(&mut State);
        let cases: [(&str, Spoil); 8] = [
            ("before the first install", |s| s.has_first = false),
            ("can't be trusted", |s| s.snapshots = vec![("1".into(), Some("torn".into()))]),
            ("other nodes' phases", |s| s.others = None),
            ("became enabled", |s| s.enabled = vec!["/etc/u".into()]),
            ("none of the package's business", |s| s.foreign = vec!["/etc/passwd".into()]),
            ("instead of ii", |s| s.status = "iF".into()),
            ("is litter", |s| s.temporary = vec!["/.x.1.2".into()]),
            ("left of a run", |s| s.unfinished = vec!["/s/fence".into()]),
        ];
        let expected = Expected { status: Some("ii"), tidy: true, has_first: true, ..expected() };
        assert!(violations(When::Healed, &good, &expected).is_empty());
        for (said, spoil) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let found = violations(When::Healed, &bad, &expected);
            assert!(found.iter().any(|v| v.contains(said)), "{said}: {found:?}");
        }
    }
}
