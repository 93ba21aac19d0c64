//! Malformed and deceptive packages, all made here: none is accepted by `debseal verify`, and none gets
//! past the gate, under the real dpkg and the real apt. Beside it, what gpgv and debsig-verify make of
//! the same files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bytes;
mod cases;
mod keys;
mod package;
mod peers;
mod tools;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cases::{Case, Desk};
use rig::{Keyring, Machine, Node, Output, Repo, Suite, Tree, dist, need_root};

struct Corpus {
    desk: Desk,
    cases: Vec<Case>,
    good: Vec<u8>,
}

static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
    let mut desk = Desk::new();
    let cases = cases::all(&mut desk);
    let good = desk.demo().build();
    Corpus { desk, cases, good }
});

const FOLDER: &str = "/root/corpus";

fn file(at: usize) -> String {
    format!("{FOLDER}/{at:03}.deb")
}

/// A machine with package debseal, the policy of the corpus, and all of its files.
fn guarded(suite: Suite) -> Node {
    let node = Node::with_packages(suite, &["libgpgme11"]);
    node.install(&dist::debseal_package()).ok();
    let mut policy = String::new();
    for (at, trust) in CORPUS.desk.trusts.iter().enumerate() {
        let key = format!("/etc/debseal/keys/{at}.pgp");
        node.write(&key, &trust.certificate);
        writeln!(policy, "[[package]]\nname = \"{}\"\nkeys = [\"{key}\"]\n{}", trust.package, trust.more).unwrap();
    }
    node.write("/etc/debseal/policy.d/corpus.toml", policy);
    for (at, case) in CORPUS.cases.iter().enumerate() {
        node.write(&file(at), &case.deb);
    }
    node.write(&format!("{FOLDER}/good.deb"), &CORPUS.good);
    node
}

/// What nobody but dpkg and apt may write, and they only if they install something.
fn kept(tree: Tree) -> Tree {
    let caches = ["/var/cache/apt", "/var/lib/apt", "/var/log/apt"];
    tree.without(&["/root", "/tmp", "/run", "/dev", "/proc", "/srv", "/etc/apt", "/var/log/debseal"]).without(&caches)
}

/// Whether the text holds one of the alternatives.
fn holds(text: &str, why: &str) -> bool {
    why.split('|').any(|why| text.contains(why))
}

/// Who stopped it: the gate with its own reason, or the tool that could not read it either.
#[derive(Debug, Default)]
struct Stopped {
    gate: usize,
    tool: usize,
}

impl Stopped {
    /// What is wrong, if something is.
    fn count(&mut self, case: &Case, out: &Output) -> Option<String> {
        let why = case.gate.unwrap_or(case.why);
        let text = format!("{}{}", out.stdout, out.stderr);
        if out.status.success() || out.status.code().is_none() {
            return Some(format!("{:?}: {text}", out.status));
        }
        if text.contains("debseal: ") {
            self.gate += 1;
            let said = holds(&text, why) || text.contains("cannot tell which package it is");
            return (!said).then(|| format!("the gate does not say {why:?}: {text}"));
        }
        self.tool += 1;
        // apt falls over an archive that it takes for a package and that names none.
        let said = ["E: ", "dpkg: error", "Segmentation fault"].iter().any(|word| text.contains(word));
        (!said).then(|| format!("nobody says why: {text}"))
    }
}

/// Runs all of it on one suite.
fn hold(suite: Suite) {
    let corpus = &*CORPUS;
    let begun = Instant::now();
    let node = guarded(suite);
    let mut wrong: Vec<String> = Vec::new();

    // verify: all in one call, each with its own verdict.
    let all = (0..corpus.cases.len()).map(file);
    let words = ["debseal", "verify", "--output", "json"].map(str::to_owned).into_iter().chain(all);
    let out = node.call(words).run().code(6);
    let answer: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    for (case, judged) in corpus.cases.iter().zip(answer["packages"].as_array().unwrap()) {
        let said = judged["error"].as_str().unwrap_or_default();
        if judged["accepted"] != false || !holds(said, case.why) {
            wrong.push(format!("verify, {}, {}: wanted {:?}, got {said:?}", case.class, case.name, case.why));
        }
    }
    node.run(["debseal", "verify", &format!("{FOLDER}/good.deb")]).ok();
    let verified = begun.elapsed();

    // dpkg and apt make their locks and caches once.
    node.run(["dpkg", "-i", &file(0)]).fails();
    node.run(["apt-get", "-y", "install", &file(0)]).fails();
    let (whole, before) = (kept(node.tree()), kept(node.written()));
    let mut by = [Stopped::default(), Stopped::default()];
    for (at, case) in corpus.cases.iter().enumerate() {
        let f = file(at);
        let calls = match (case.dpkg, case.apt) {
            (None, _) => [Some("dpkg -i $f"), Some("apt-get -y install $f")],
            (dpkg, apt) => [dpkg, apt],
        };
        for (number, call) in calls.into_iter().enumerate() {
            let Some(call) = call else { continue };
            let out = node.sh(&format!("f={f} d=/root/n/{number}/{at}; mkdir -p $d\n{call}"));
            wrong.extend(
                by[number].count(case, &out).map(|why| format!("{call}, {}, {}: {why}", case.class, case.name)),
            );
            let changes = before.changes(&kept(node.written()));
            if !changes.is_empty() {
                wrong.push(format!("{call}, {}, {}: it left {changes:#?}", case.class, case.name));
                node.run(["dpkg", "-P", "demo"]);
                break;
            }
        }
        assert!(wrong.len() < 40, "{} of {}: {wrong:#?}", wrong.len(), at);
    }
    let called = begun.elapsed() - verified;

    // The same from a repository that speaks of each as of a package of its own, in one transaction.
    let named = |at: usize| format!("case-{at}");
    let control = |name: &str, version: &str| {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n"
        )
    };
    let mut files: Vec<_> = (0..corpus.cases.len())
        .filter(|at| !corpus.cases[*at].deb.is_empty()) // apt itself takes no file of no bytes
        .map(|at| (format!("{at:03}.deb"), control(&named(at), "1.0"), corpus.cases[at].deb.clone()))
        .collect();
    let bad: Vec<String> = files.iter().map(|(file, ..)| named(file[..3].parse().unwrap())).collect();
    files.push(("good.deb".into(), control("demo", "1.0"), corpus.good.clone()));
    Repo::of(&Keyring::new("repository"), &files).give_to(&node);
    node.sh("apt-get -qq update").ok();
    let out = node.sh(&format!("apt-get -y install {}", bad.join(" "))).code(100);
    for (file, ..) in files.iter().filter(|(file, ..)| file != "good.deb") {
        if !out.stderr.contains(&format!("{file} is refused: ")) {
            wrong.push(format!("apt does not hear that {file} of the repository is refused"));
        }
    }
    let changes = whole.changes(&kept(node.tree()));
    assert!(wrong.is_empty() && changes.is_empty(), "{}: {wrong:#?}\nleft: {changes:#?}", wrong.len());

    // And the good one comes in by each way.
    for call in ["dpkg -i $f", "apt-get -y install $f", "apt-get -y install demo"] {
        node.sh(&format!("f={FOLDER}/good.deb; {call}")).ok().never_says("debseal:");
        assert_eq!(node.state_of("demo"), "ii", "{call}");
        node.run(["demo"]).ok().says("demo");
        node.run(["dpkg", "-P", "demo"]).ok();
    }
    eprintln!(
        "{}: {} cases, 0 accepted; dpkg: {} stopped by the gate, {} by dpkg; apt: {} by the gate, {} by apt; \
         verify {:.1?}, calls {called:.1?}, all {:.1?}",
        suite.name(),
        corpus.cases.len(),
        by[0].gate,
        by[0].tool,
        by[1].gate,
        by[1].tool,
        verified,
        begun.elapsed()
    );
}

#[test]
fn nothing_hostile_gets_in_on_bookworm() {
    if need_root() {
        hold(Suite::Bookworm);
    }
}

#[test]
fn nothing_hostile_gets_in_on_trixie() {
    if need_root() {
        hold(Suite::Trixie);
    }
}

#[test]
fn what_its_peers_make_of_it() {
    let begun = Instant::now();
    let corpus = &*CORPUS;
    let made = begun.elapsed();
    assert!(corpus.cases.len() >= 150, "{}", corpus.cases.len());
    let peers = peers::Peers::new(&corpus.desk);
    assert_eq!(peers.accept("demo", &corpus.good), (true, true), "else their counts say nothing");
    let mut rows: BTreeMap<(&str, &str), [usize; 3]> = BTreeMap::new();
    for case in &corpus.cases {
        let by = match case.by {
            cases::By::Forger => "forged",
            cases::By::Key => "keyed",
        };
        let (gpgv, debsig) = peers.accept(peers::package_of(case), &case.deb);
        let row = rows.entry((case.class, by)).or_default();
        row[0] += 1;
        row[1] += usize::from(gpgv);
        row[2] += usize::from(debsig);
    }
    let mut table =
        String::from("| class | made by | cases | debseal | gpgv | debsig-verify |\n|---|---|---|---|---|---|\n");
    let mut sum = [0; 3];
    for ((class, by), row) in &rows {
        writeln!(table, "| {class} | {by} | {} | 0 | {} | {} |", row[0], row[1], row[2]).unwrap();
        (0..3).for_each(|n| sum[n] += row[n]);
    }
    writeln!(table, "| all | | {} | 0 | {} | {} |", sum[0], sum[1], sum[2]).unwrap();
    eprintln!("made in {made:.1?}, judged in {:.1?}; accepted:\n{table}", begun.elapsed() - made);
    assert!(begun.elapsed() < Duration::from_secs(600), "peers hang");
}
