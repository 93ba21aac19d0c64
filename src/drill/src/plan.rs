//! Which cases there are: found by running the package, since only that tells which scripts dpkg
//! calls after a failure and which system calls they make.

use std::collections::HashSet;

use crate::case::{Case, END, Point, Scenario};
use crate::cluster::{self, Trouble};
use crate::fault::{Disk, Fault};
use crate::flow::Stage;
use crate::run::Verdict;
use crate::syscalls::Effect;

/// dpkg gives up after the third failure in a row; this is deeper.
const DEPTH: usize = 4;

/// The scenarios that go on where this one has ended: one more of the calls after the last failure
/// fails.
pub fn deeper(verdict: &Verdict) -> Vec<Scenario> {
    let scenario = &verdict.case.scenario;
    if scenario.failing.len() >= DEPTH {
        return Vec::new();
    }
    let later = later(verdict);
    let early = later.iter().map(|label| scenario.with(label, false));
    // That a script fails after its work differs for the calls that follow: once is enough.
    let late = later.iter().filter(|_| scenario.failing.is_empty()).map(|label| scenario.with(label, true));
    early.chain(late).collect()
}

/// The calls after the last one that was made to fail.
fn later(verdict: &Verdict) -> &[String] {
    let Some(last) = verdict.case.scenario.failing.last() else { return &verdict.labels };
    let at = verdict.labels.iter().position(|l| *l == last.label);
    at.map_or(&[], |at| &verdict.labels[at + 1..])
}

/// What kind of drill it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kind<'a> {
    /// Power cuts, on these disks, and nothing else.
    pub power: &'a [Disk],
    /// Whether an operator is at work.
    pub operator: bool,
    /// Whether machines are nodes of a cluster.
    pub cluster: bool,
}

/// Where a fault may strike, and what kind of place it is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The case.
    pub case: Case,
    /// The call by its name and a path in which numbers don't count.
    pub site: String,
}

/// Every fault at every call that belongs to this scenario alone: those before the last failure
/// belong to the one that it goes on from.
/// On a node of a cluster, what goes wrong there, and the rest at the calls that change it.
pub fn places(verdict: &Verdict, kind: Kind<'_>) -> Vec<Place> {
    let Kind { power, operator, cluster } = kind;
    let scenario = &verdict.case.scenario;
    let later = later(verdict);
    let mut out = Vec::new();
    for event in verdict.events.iter().filter(|e| later.contains(&e.label)) {
        for fault in faults(power).filter(|f| f.can_hit(event.known, &event.path, event.length)) {
            let inside = cluster::holds(&event.path) || cluster::holds(&event.to);
            let of_cluster = matches!(fault, Fault::Cluster(_));
            if (fault == Fault::Operator && !operator)
                || (of_cluster && !cluster)
                || (cluster && !of_cluster && !inside)
            {
                continue;
            }
            if !scenario.failing.is_empty() && (fault.is_anothers() || (of_cluster && !inside)) {
                continue;
            }
            // It takes ten seconds each time that somebody wants the lock.
            if fault == Fault::Cluster(Trouble::Syncing) && event.known.effect != Effect::Create {
                continue;
            }
            // Before the first install none of the package's own programs is there to write.
            if fault.needs_the_package() && matches!(scenario.flow.stage(), Stage::Bare | Stage::Alone) {
                continue;
            }
            let point = Point { label: event.label.clone(), number: event.number, fault };
            let case = Case { scenario: scenario.clone(), point: Some(point) };
            out.push(Place { case, site: site(event.known.name, &event.path, &event.to) });
        }
    }
    // And once it is all done: what was said to be done has to be there.
    for disk in power {
        let point = Point { label: END.to_owned(), number: 1, fault: Fault::Power(*disk) };
        out.push(Place { case: Case { scenario: scenario.clone(), point: Some(point) }, site: END.to_owned() });
    }
    out
}

/// Power cuts take the place of the rest where they are asked for.
fn faults(power: &[Disk]) -> impl Iterator<Item = Fault> {
    let rest = Fault::all().filter(|_| power.is_empty());
    power.iter().map(|disk| Fault::Power(*disk)).chain(rest)
}

/// A call's place, the same in every run: process ids and times in names don't count.
fn site(name: &str, path: &str, to: &str) -> String {
    let mut out = format!("{name} {}", without_numbers(path));
    if !to.is_empty() {
        out += &format!(" -> {}", without_numbers(to));
    }
    out
}

fn without_numbers(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    out
}

/// A choice of `count`, the same for the same seed. Its order spreads over all of them: first each
/// fault at each call site of each script in some scenario, then in all of them, then the other calls
/// at the same sites.
pub fn sample(mut places: Vec<Place>, count: usize, seed: u64) -> Vec<Place> {
    fastrand::Rng::with_seed(seed).shuffle(&mut places);
    let (mut kinds, mut distinct) = (HashSet::new(), HashSet::new());
    let rank = |place: &Place| {
        let point = place.case.point.as_ref().map(|p| (p.label.clone(), p.fault));
        let kind = (point, place.site.clone());
        let new = distinct.insert((place.case.scenario.clone(), kind.clone()));
        if kinds.insert(kind) { 0 } else { 2 - u8::from(new) }
    };
    let ranks: Vec<u8> = places.iter().map(rank).collect();
    let mut ranked: Vec<(u8, Place)> = ranks.into_iter().zip(places).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, place)| place).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;
    use crate::syscalls::KNOWN;
    use crate::trace::Event;

    fn verdict(failing: &str, labels: &[&str], events: &[&str]) -> Verdict {
        let event = |(label, name): (&str, &str)| Event {
            label: label.into(),
            number: 1,
            known: KNOWN.iter().find(|k| k.name == name).unwrap(),
            path: "/s/x".into(),
            to: String::new(),
            length: 10,
            address: 0,
            process: 1,
        };
        Verdict {
            case: failing.parse().unwrap(),
            fired: false,
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            events: events.iter().map(|e| event(e.split_once(' ').unwrap())).collect(),
            violations: Vec::new(),
            said: String::new(),
        }
    }

    #[test]
    fn each_call_fails_in_turn_then_each_later_one() {
        let names = |v: &Verdict| deeper(v).iter().map(Scenario::to_string).collect::<Vec<_>>();
        let plain = verdict("install", &["preinst:install", "postinst:configure"], &[]);
        assert_eq!(
            names(&plain),
            [
                "install!preinst:install",
                "install!postinst:configure",
                "install!preinst:install@end",
                "install!postinst:configure@end"
            ]
        );
        let failed = verdict("install!preinst:install", &["preinst:install", "postrm:abort-install"], &[]);
        assert_eq!(names(&failed), ["install!preinst:install!postrm:abort-install"]);
        assert!(names(&verdict("install!preinst:install", &["preinst:install"], &[])).is_empty());
    }

    #[test]
    fn a_place_belongs_to_one_scenario() {
        let failed = verdict(
            "install!preinst:install@end",
            &["preinst:install", "postrm:abort-install"],
            &["preinst:install write", "postrm:abort-install unlink"],
        );
        let places = places(&failed, Kind::default());
        assert!(places.iter().all(|p| p.site == "unlink /s/x"));
        // kill-script, kill-tree, term, hup; eio, erofs, eacces once and from there on.
        assert_eq!(places.len(), 10);
        assert!(places.iter().all(|p| p.case.scenario.flow == Flow::Install));
    }

    #[test]
    fn numbers_in_names_do_not_count() {
        assert_eq!(site("rename", "/s/.f.new.12.345", "/s/f"), "rename /s/.f.new.N.N -> /s/f");
    }

    #[test]
    fn a_sample_begins_with_what_was_not_tried_yet() {
        let call =
            |scenario: &str| places(&verdict(scenario, &["a:b", "c:d"], &["c:d write", "c:d write"]), Kind::default());
        let all: Vec<Place> = call("install!a:b").into_iter().chain(call("upgrade!a:b")).collect();
        let kinds = all.len() / 4; // two scenarios, two calls at one site
        let taken = sample(all, usize::MAX, 3);
        let faults = |places: &[Place]| -> HashSet<Fault> {
            places.iter().map(|p| p.case.point.as_ref().unwrap().fault).collect()
        };
        assert_eq!(faults(&taken[..kinds]).len(), kinds);
        assert_eq!(faults(&taken[kinds..2 * kinds]).len(), kinds);
        assert_eq!(taken.len(), 4 * kinds);
    }

    #[test]
    fn a_sample_is_the_same_for_the_same_seed() {
        let plain = verdict("install", &["a:b"], &["a:b write", "a:b fsync", "a:b rename"]);
        let names = |seed| {
            sample(places(&plain, Kind::default()), 5, seed).iter().map(|p| p.case.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(7), names(7));
        assert_ne!(names(7), names(8));
        assert_eq!(names(7).len(), 5);
    }
}
