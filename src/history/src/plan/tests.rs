//! Every row and every bullet of "going back" (docs/going-back.md), as tables.

use std::collections::BTreeMap;

use super::*;
use crate::journal::{Backend, Event, Written};
use crate::snapshot::Acceptance;
use crate::{Item, Meta, Use};

const I: &str = "/etc/network/interfaces";
const N: &str = "/etc/network/interfaces.new";
const X: &str = "/etc/network/interfaces.d/x";
const XX: &str = "/etc/network/interfaces.d/x/x";
const Y: &str = "/etc/network/interfaces.d/y";
const Z: &str = "/etc/pve/sdn/zones.cfg";
const S: &str = "/etc/pve/sdn/*.cfg";
const RUN: &str = "/etc/pve/sdn/.running-config";

fn items() -> Vec<Item> {
    vec![
        Item::new(I, Scope::Node, Use::Restore),
        Item::new(N, Scope::Node, Use::Discard),
        Item::new("/etc/network/interfaces.d", Scope::Node, Use::Restore),
        Item::new("/etc/pve/sdn/*.cfg", Scope::Cluster, Use::Restore),
        Item::new(RUN, Scope::Cluster, Use::Evidence),
    ]
}

/// The content that a letter stands for: parses, except `-` (empty) and `!` (broken).
fn content(letter: &str) -> Vec<u8> {
    match letter {
        "-" => Vec::new(),
        "!" => b"\0\0\0".to_vec(),
        letter => format!("# {letter}\nauto lo\niface lo inet loopback\n").into_bytes(),
    }
}

fn what(letter: &str) -> What {
    match letter {
        "dir" => What::Dir { meta: Meta::default() },
        "?" => What::Unreadable { why: "pmxcfs is not mounted".into() },
        "link" => What::Link { target: "/x".into(), uid: 0, gid: 0 },
        _ => {
            let bytes = content(letter);
            What::File { meta: Meta::default(), size: bytes.len() as u64, sha256: host::files::sha256(&bytes) }
        }
    }
}

fn digest(letter: &str) -> String {
    if letter == "0" { "absent".into() } else { what(letter).digest() }
}

/// `I=A X=B`: what stands where; `I=0` or no mention is absent.
fn state(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (path, letter) in pairs(text) {
        let item = items().into_iter().find(|i| i.covers(Path::new(path))).unwrap();
        if letter == "0" && (item.pattern().is_some() || path != item.path) {
            continue;
        }
        let what = if letter == "0" { What::Absent } else { what(letter) };
        entries.push(Entry {
            path: path.into(),
            name: path[1..].to_owned().into(),
            scope: item.scope,
            usage: item.usage,
            what,
        });
    }
    entries
}

fn pairs(text: &str) -> Vec<(&'static str, &str)> {
    let path = |name: &str| match name {
        "I" => I,
        "N" => N,
        "X" => X,
        "Y" => Y,
        "XX" => XX,
        "Z" => Z,
        "S" => S,
        "R" => RUN,
        other => panic!("{other}"),
    };
    text.split_whitespace()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, letter)| (path(name), letter))
        .collect()
}

/// `s1: I=A` or with flags after the name: `s2 undo bad: I=B`.
fn snapshot(text: &str, sequence: u64) -> Candidate {
    let (head, body) = text.split_once(':').unwrap();
    let mut words = head.split_whitespace();
    let id = words.next().unwrap().to_owned();
    let flags: Vec<&str> = words.collect();
    let interfaces = pairs(body).into_iter().find(|(p, l)| *p == I && *l != "0").map(|(_, l)| content(l));
    Candidate {
        manifest: Manifest {
            format: 1,
            id: id.clone(),
            sequence,
            created: 0,
            reason: String::new(),
            undo: flags.contains(&"undo"),
            first: false,
            package: "p".into(),
            version: String::new(),
            phase: None,
            node: "n".into(),
            acceptance: Acceptance { accepted: true, why: String::new() },
            items: items(),
            entries: state(body),
        },
        folder: PathBuf::new(),
        distrust: OnceCell::from(flags.contains(&"bad").then(|| format!("snapshot {id} can't be trusted: altered"))),
        interfaces: OnceCell::from(interfaces),
    }
}

/// `rust o1: I=A>B X=0>C`, `perl …`, `restore …`, `accept: I=B`.
fn event(text: &str) -> Event {
    let (head, body) = text.split_once(':').unwrap();
    let mut words = head.split_whitespace();
    let who = words.next().unwrap();
    if who == "accept" {
        let paths = pairs(body).into_iter().map(|(p, l)| (p.into(), digest(l))).collect();
        return Event::Accept { time: 0, by: "admin".into(), reason: String::new(), paths };
    }
    if who == "back" {
        let id = words.next().unwrap().to_owned();
        return Event::End { id, time: 0, duration_ms: 0, outcome: crate::journal::Outcome::RolledBack };
    }
    let backend = match who {
        "rust" => Backend::Rust,
        "perl" => Backend::Legacy,
        "restore" => Backend::Restore,
        other => panic!("{other}"),
    };
    let id = words.next().unwrap_or("o").to_owned();
    let paths = pairs(body)
        .into_iter()
        .map(|(path, change)| {
            let (before, after) = change.split_once('>').unwrap();
            (path.into(), Written { before: digest(before), after: digest(after) })
        })
        .collect();
    Event::Begin {
        id,
        time: 0,
        backend,
        tool: String::new(),
        phase: String::new(),
        snapshot: None,
        transaction: None,
        paths,
    }
}

struct Case {
    name: &'static str,
    snapshots: &'static [&'static str],
    journal: Option<&'static [&'static str]>,
    now: &'static str,
    want: &'static str,
}

/// `I<s1` restored from s1, `N-` deleted, `keep X`, `note`, `refused`: in the plan's order.
fn short(plan: &Plan) -> String {
    let name = |path: &PathText| {
        [("I", I), ("N", N), ("X", X), ("Y", Y), ("XX", XX), ("Z", Z), ("R", RUN)]
            .into_iter()
            .find(|(_, p)| Path::new(p) == path.as_path())
            .map_or_else(|| path.to_string(), |(n, _)| n.to_owned())
    };
    let mut out: Vec<String> = plan
        .actions
        .iter()
        .map(
            |a| if a.to.exists() { format!("{}<{}", name(&a.path), a.snapshot) } else { format!("{}-", name(&a.path)) },
        )
        .collect();
    out.extend(plan.kept.iter().map(|k| format!("keep:{}", name(&k.path))));
    out.extend(plan.notes.iter().map(|_| "note".to_owned()));
    out.extend(plan.refused.iter().map(|_| "refused".to_owned()));
    out.join(" ")
}

fn run(trigger: &Trigger, policy: Policy, case: &Case) {
    let snapshots: Vec<_> = case.snapshots.iter().zip(1..).map(|(s, n)| snapshot(s, n)).collect();
    let events: Vec<Event> = case.journal.unwrap_or_default().iter().map(|e| event(e)).collect();
    let provenance = match case.journal {
        Some(_) => Provenance::of(&events),
        None => Provenance::Unknown { why: "the operation journal is missing".into() },
    };
    let contents = crate::journal::Contents { events, damaged: 0 };
    let writes = contents.writes();
    let present = state(case.now);
    let interfaces = pairs(case.now)
        .into_iter()
        .find(|(p, l)| *p == I && !["0", "dir", "link"].contains(l))
        .map(|(_, l)| content(l));
    let plan = plan(&Facts {
        trigger,
        policy,
        present: &present,
        interfaces: interfaces.as_deref(),
        snapshots: &snapshots,
        provenance: &provenance,
        writes: &writes,
        taken_back: &contents.taken_back(),
    });
    assert_eq!(short(&plan), case.want, "{}: {:#?}", case.name, plan.lines());
}

macro_rules! cases {
    ($($name:literal: [$($snap:literal),*], $journal:expr, $now:literal => $want:literal;)*) => {
        &[$(Case { name: $name, snapshots: &[$($snap),*], journal: $journal, now: $now, want: $want }),*]
    };
}

#[test]
fn removal_takes_back_what_is_on_trial_and_nothing_else() {
    let cases: &[Case] = cases! {
        "nothing changed": ["s1: I=A"], Some(&[]), "I=A" => "";
        "Rust on trial": ["s1: I=A"], Some(&["rust o1: I=A>B"]), "I=B" => "I<s1";
        "Rust twice goes back to before both": ["s1: I=A", "s2: I=B"], Some(&["rust o1: I=A>B", "rust o2: I=B>C"]), "I=C" => "I<s1";
        "accepted by name stays": ["s1: I=A"], Some(&["rust o1: I=A>B", "accept: I=B"]), "I=B" => "keep:I";
        "accepted, then on trial again": ["s1: I=A", "s2: I=B"], Some(&["rust o1: I=A>B", "accept: I=B", "rust o2: I=B>C"]), "I=C" => "I<s2";
        "the admin wrote later: kept, named": ["s1: I=A"], Some(&["rust o1: I=A>B"]), "I=C" => "keep:I";
        "trial goes back, the admin's file beside it stays": ["s1: I=A X=D"], Some(&["rust o1: I=A>B"]), "I=B X=E" => "I<s1 keep:X";
        "an admin's new file is kept": ["s1: I=A"], Some(&[]), "I=A Y=C" => "keep:Y";
        "Perl wrote over Rust: kept": ["s1: I=A"], Some(&["rust o1: I=A>B", "perl o2: I=B>C"]), "I=C" => "keep:I";
        "a file that Rust made goes": ["s1: I=A"], Some(&["rust o1: X=0>B"]), "I=A X=B" => "X-";
        "a file that Rust deleted comes back": ["s1: I=A X=B"], Some(&["rust o1: X=B>0"]), "I=A" => "X<s1";
        "a file that somebody else deleted stays gone": ["s1: I=A X=B"], Some(&[]), "I=A" => "keep:X";
        "a set goes back as a set": ["s1: I=A X=B"], Some(&["rust o1: I=A>C X=B>D Y=0>E"]), "I=C X=D Y=E" => "I<s1 X<s1 Y-";
        "interfaces gone": ["s1: I=A"], Some(&[]), "I=0" => "I<s1";
        "interfaces empty": ["s1: I=A"], Some(&[]), "I=-" => "I<s1";
        "interfaces broken": ["s1: I=A"], Some(&[]), "I=!" => "I<s1";
        "interfaces became a folder": ["s1: I=A"], Some(&[]), "I=dir" => "I<s1";
        "interfaces became a link: somebody's choice": ["s1: I=A"], Some(&[]), "I=link" => "keep:I";
        "interfaces broken, and in the backup as well": ["s1: I=!"], Some(&[]), "I=-" => "keep:I";
        "interfaces broken goes back to the newest that parses": ["s1: I=A", "s2: I=!"], Some(&[]), "I=0" => "I<s1";
        "interfaces gone, newest backup on trial": ["s1: I=A", "s2: I=B"], Some(&["rust o1: I=A>B"]), "I=0" => "I<s1";
        "another file that is empty is no damage": ["s1: I=A X=B"], Some(&[]), "I=A X=-" => "keep:X";
        "pending changes by Rust are deleted": ["s1: I=A"], Some(&["rust o1: N=0>B"]), "I=A N=B" => "N-";
        "pending changes by the admin are kept": ["s1: I=A"], Some(&[]), "I=A N=B" => "keep:N";
        "pending changes are never recreated": ["s1: I=A N=C"], Some(&["rust o1: N=C>0"]), "I=A" => "N-";
        "a cluster that can't be read is not named as changed": ["s1: I=A Z=A"], Some(&["rust o1: I=A>B"]), "I=B S=?" => "I<s1";
        "cluster files are named, not changed": ["s1: I=A Z=A"], Some(&["rust o1: Z=A>B"]), "I=A Z=B" => "keep:Z";
        "evidence is never written back": ["s1: I=A R=A"], Some(&["rust o1: R=A>B"]), "I=A R=B" => "";
        "no journal: kept and named": ["s1: I=A"], None, "I=B" => "keep:I";
        "no journal, but interfaces gone": ["s1: I=A"], None, "I=0" => "I<s1";
        "no snapshot at all": [], Some(&["rust o1: I=A>B"]), "I=B" => "refused";
        "the only snapshot is corrupt": ["s1 bad: I=A"], Some(&["rust o1: I=A>B"]), "I=B" => "refused";
        "an older snapshot has the very content": ["s1: I=A", "s2 bad: I=A"], Some(&["rust o1: I=A>B"]), "I=B" => "I<s1";
        "an older snapshot has other content: never over the admin's": ["s1: I=Z", "s2 bad: I=A"], Some(&["rust o1: I=A>B"]), "I=B" => "refused";
        "one that can't go back stops the whole set": ["s1: I=A", "s2 bad: I=A X=B"], Some(&["rust o1: X=B>C", "rust o2: I=A>D"]), "I=D X=C" => "keep:I refused";
        "pending changes that the admin applied are not offered again": ["s1: I=A N=B"], Some(&[]), "I=A" => "";
        "the admin edits between two Rust writes": ["s1: I=A", "s2: I=C"], Some(&["rust o1: I=A>B", "rust o2: I=C>D"]), "I=D" => "I<s2";
        "Rust put back what the admin had": ["s1: I=A"], Some(&["rust o1: I=A>B", "rust o2: I=B>A"]), "I=A" => "";
        "the admin's change is named against a snapshot that verifies": ["s1: I=A X=A", "s2 bad: I=A X=B"], Some(&[]), "I=A X=C" => "keep:X";
        "a new folder is named by what it holds": ["s1: I=A"], Some(&[]), "I=A X=dir XX=B" => "keep:XX";
        "nothing is written through a link that took a folder's place": ["s1: I=A X=dir XX=B"], Some(&["rust o1: I=A>C XX=B>0"]), "I=C X=link" => "keep:XX keep:I refused";
        "a snapshot taken for an undo can be the accepted one": ["s1: I=A", "s2 undo: I=C"], Some(&["rust o1: I=C>D"]), "I=D" => "I<s2";
    };
    for case in cases {
        run(&Trigger::Removal, Policy::Accepted, case);
    }
}

#[test]
fn removal_with_restore_last_is_literal_and_leaves_the_cluster() {
    let cases: &[Case] = cases! {
        "the last backup, whatever came after": ["s1: I=A X=B"], Some(&[]), "I=C X=D Y=E" => "I<s1 X<s1 Y-";
        "accepted or not": ["s1: I=A"], Some(&["rust o1: I=A>B", "accept: I=B"]), "I=B" => "I<s1";
        "a file that is gone comes back": ["s1: I=A X=B"], Some(&[]), "I=A" => "X<s1";
        "pending changes are not recreated": ["s1: I=A N=B"], Some(&[]), "I=A N=0" => "";
        "pending changes are deleted": ["s1: I=A"], Some(&[]), "I=A N=B" => "N-";
        "not from one taken for an undo": ["s1: I=A", "s2 undo: I=B"], Some(&[]), "I=B" => "I<s1";
        "node files only": ["s1: I=A Z=A"], Some(&[]), "I=B Z=B" => "I<s1 keep:Z";
        "a corrupt one is passed over, and said": ["s1: I=A", "s2 bad: I=B"], Some(&[]), "I=C" => "I<s1 note";
        "none": [], Some(&[]), "I=C" => "refused";
        "none that verifies": ["s1 bad: I=A"], Some(&[]), "I=C" => "refused";
        "without a journal": ["s1: I=A"], None, "I=C" => "I<s1";
        "not from one that holds what was taken back": ["s1: I=A", "s2: I=B"], Some(&["rust t1: I=A>B", "back t1:", "restore r1: I=B>A"]), "I=A" => "";
        "a folder that became a link is the admin's, and so is what is behind it": ["s1: I=A X=dir XX=B"], Some(&[]), "I=C X=link" => "I<s1 keep:XX";
    };
    for case in cases {
        run(&Trigger::Removal, Policy::Last, case);
    }
}

#[test]
fn removal_with_restore_never_names_what_it_would_have_done() {
    let cases: &[Case] = cases! {
        "on trial": ["s1: I=A"], Some(&["rust o1: I=A>B"]), "I=B" => "keep:I";
        "gone": ["s1: I=A"], Some(&[]), "I=0" => "keep:I";
        "nothing": ["s1: I=A"], Some(&[]), "I=A" => "";
    };
    for case in cases {
        run(&Trigger::Removal, Policy::Never, case);
    }
}

#[test]
fn failure_takes_back_its_own_writes_only() {
    let trigger = Trigger::Failure { operations: ["t1".to_owned()].into(), snapshot: Some("s2".into()) };
    let cases: &[Case] = cases! {
        "nothing written": ["s1: I=A", "s2: I=A"], Some(&[]), "I=A" => "";
        "its own write": ["s1: I=A", "s2: I=A"], Some(&["rust t1: I=A>B"]), "I=B" => "I<s2";
        "an earlier trial write stays": ["s1: I=A", "s2: I=B"], Some(&["rust o1: I=A>B", "rust t1: I=B>C"]), "I=C" => "I<s2";
        "only an earlier trial write": ["s1: I=A", "s2: I=B"], Some(&["rust o1: I=A>B"]), "I=B" => "";
        "the admin wrote after it": ["s1: I=A", "s2: I=A"], Some(&["rust t1: I=A>B"]), "I=C" => "keep:I";
        "gone back already": ["s1: I=A", "s2: I=A"], Some(&["rust t1: I=A>B"]), "I=A" => "";
        "cluster files as well": ["s1: Z=A", "s2: Z=A"], Some(&["rust t1: Z=A>B"]), "Z=B" => "Z<s2";
        "a cluster that can't be read": ["s1: Z=A", "s2: Z=A"], Some(&["rust t1: Z=A>B"]), "Z=?" => "keep:Z";
        "never the running configuration": ["s1: R=A", "s2: R=A"], Some(&["rust t1: R=A>B"]), "R=B" => "";
        "damage": ["s1: I=A", "s2: I=A"], Some(&[]), "I=-" => "I<s2";
        "a set": ["s1: I=A", "s2: I=A X=B"], Some(&["rust t1: I=A>C X=B>D"]), "I=C X=D" => "I<s2 X<s2";
        "its snapshot is corrupt, another has the content": ["s1: I=A", "s2 bad: I=A"], Some(&["rust t1: I=A>B"]), "I=B" => "I<s1";
        "no snapshot has the content": ["s1: I=Z", "s2 bad: I=A"], Some(&["rust t1: I=A>B"]), "I=B" => "refused";
        "pending changes it made": ["s1: I=A", "s2: I=A"], Some(&["rust t1: N=0>B"]), "I=A N=B" => "N-";
    };
    for case in cases {
        run(&trigger, Policy::Accepted, case);
    }
    run(&trigger, Policy::Last, &cases!("literal": ["s1: I=Z", "s2: I=A X=B"], Some(&[]), "I=C" => "I<s2 X<s2";)[0]);
    run(
        &trigger,
        Policy::Never,
        &cases!("never": ["s1: I=A", "s2: I=A"], Some(&["rust t1: I=A>B"]), "I=B" => "keep:I";)[0],
    );
}

#[test]
fn by_hand_does_as_it_is_told() {
    let by_hand = |to: Option<&str>, only: Option<&str>, cluster| Trigger::ByHand {
        to: to.map(str::to_owned),
        only: only.map(Into::into),
        cluster,
    };
    let all: BTreeMap<&str, Trigger> = [
        ("last", by_hand(None, None, false)),
        ("s1", by_hand(Some("s1"), None, false)),
        ("only", by_hand(None, Some("/etc/network/interfaces.d"), false)),
        ("cluster", by_hand(None, None, true)),
        ("none", by_hand(Some("s9"), None, false)),
    ]
    .into();
    for (which, case) in ["last", "s1", "only", "cluster", "cluster", "none"].into_iter().zip(cases! {
        "the last, not the undo": ["s1: I=A", "s2: I=B", "s3 undo: I=C"], Some(&[]), "I=C" => "I<s2";
        "a named one": ["s1: I=A", "s2: I=B"], Some(&[]), "I=C" => "I<s1";
        "one path": ["s1: I=A X=A"], Some(&[]), "I=C X=C" => "X<s1";
        "a cluster that can't be read": ["s1: I=A Z=A"], Some(&[]), "I=A S=?" => "note note";
        "the cluster's too": ["s1: I=A Z=A"], Some(&[]), "I=A Z=B" => "Z<s1";
        "one that isn't there": ["s1: I=A"], Some(&[]), "I=C" => "refused";
    }) {
        // By hand means by hand: the removal's policy has no say.
        run(&all[which], Policy::Never, case);
    }
}
