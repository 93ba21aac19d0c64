//! A clean week, as facts: what a table of flawed ones changes.

use std::collections::BTreeMap;

use history::journal::{Backend, Outcome};
use phase::Phase;

use crate::facts::*;
use crate::gate::{self, Judgement, SELECTOR, Verdict, ahead, limits};

/// 29 November 2026, 08:00 UTC.
pub const NOW: i64 = 1_795_939_200;
const HOUR: i64 = 3600;
/// Milliseconds between scrapes.
const SCRAPE: i64 = 15_000;

pub fn judged(facts: &Facts) -> Verdict {
    gate::gate(facts)
}

/// The clean time before `node` goes to `wanted`, in which `pve1` goes first.
pub fn clean(node: &str, wanted: Phase) -> Facts {
    let window = limits::window(wanted, NOW);
    let phase = Phase::ALL.into_iter().rfind(|p| *p < wanted).unwrap();
    let lead = wanted.next().unwrap_or(wanted);
    let nodes = [
        ("pve1", if node == "pve1" { phase } else { lead }),
        ("pve2", if node == "pve1" { Phase::PerlOnly } else { phase }),
    ];
    let order = vec!["pve1".to_owned(), "pve2".to_owned()];
    let mut facts = Facts {
        format: FORMAT,
        now: NOW,
        node: node.into(),
        wanted,
        standing: Said::Is(Standing {
            phase,
            problems: Vec::new(),
            order: order.clone(),
            nodes: nodes.map(|(name, phase)| (name.to_owned(), phase)).into(),
            sha256: Some("0".repeat(64)),
            logs_decisions: true,
        }),
        past: Said::Is(past(phase)),
        journal: Said::Is(Journal {
            damaged: 0,
            backwards: Vec::new(),
            latest: Some(NOW - HOUR),
            operations: operations(wanted, window.from),
        }),
        decisions: Said::Is(decisions(window)),
        contract: Said::Is(Contract {
            file: "/var/log/pve-network/contract-test.json".into(),
            sha256: "1".repeat(64),
            schema_version: 1,
            node: node.into(),
            started: NOW - HOUR,
            verdict: "equal".into(),
            endpoints: [("equal".to_owned(), 40), ("left-to-perl".to_owned(), 7)].into(),
            lines: Vec::new(),
        }),
        prometheus: Said::Missing("not yet".into()),
    };
    facts.prometheus = Said::Is(prometheus(&facts, lead, &ahead(&order, node)));
    facts
}

fn past(phase: Phase) -> Past {
    let mut steps = Vec::new();
    let mut time = NOW - 8 * limits::DAY;
    let mut to = phase;
    while let Some(from) = Phase::ALL.into_iter().rfind(|p| *p < to) {
        steps.insert(0, Step { time, from, to, outcome: Some(phase::Outcome::Done), why: "promoted".into() });
        (to, time) = (from, time - 8 * limits::DAY);
    }
    Past { broken: Vec::new(), explains: true, gaps: 0, steps, overrides: Vec::new() }
}

/// Twelve applies by Perl a month ago; one by Rust each five hours, if it may.
fn operations(wanted: Phase, from: i64) -> Vec<Operation> {
    let one = |id: String, at: i64, backend, ms| Operation {
        id,
        began: at - 1,
        ended: Some(at),
        backend,
        tool: if backend == Backend::Rust { "pvenet".into() } else { "pvenet-legacy".into() },
        ms: Some(ms),
        outcome: Some(Outcome::Done),
        interfaces: backend == Backend::Rust,
        files: usize::from(backend == Backend::Rust),
    };
    let perl =
        (0..12).map(|n| one(format!("perl-{n}"), NOW - 30 * limits::DAY + n * 60, Backend::Legacy, 410 + 3 * n as u64));
    let count = if wanted > Phase::RustBasicWrite { 30 } else { 0 };
    let rust =
        (0..count).map(|n| one(format!("rust-{n}"), from + HOUR * 3 + n * 5 * HOUR, Backend::Rust, 405 + 2 * n as u64));
    perl.chain(rust).collect()
}

/// Each hour six requests to Rust and two to Perl, and before the window, too.
fn decisions(window: gate::Window) -> Decisions {
    let hours = (window.from / HOUR - 1)..=(window.to / HOUR - 1);
    let minutes: Vec<Minute> =
        hours.map(|h| Minute { at: h * 60 + 30, rust: 6, perl: 2, none: 0, fallbacks: 0 }).collect();
    Decisions {
        files: vec![LogFile { name: "migration.log".into(), lines: 8 * minutes.len() as u64, sha256: "2".repeat(64) }],
        unreadable: 0,
        backwards: Vec::new(),
        first: minutes.first().map(|m| m.at * 60),
        last: minutes.last().map(|m| m.at * 60 + 5),
        minutes,
        bad: Vec::new(),
    }
}

/// What Prometheus would have scraped meanwhile.
fn prometheus(facts: &Facts, lead: Phase, before: &[String]) -> Prometheus {
    let questions = gate::questions(facts.wanted, facts.now, &facts.node, before, SELECTOR);
    let number = |phase: Phase| Phase::ALL.into_iter().position(|p| p == phase).unwrap().to_string();
    let own = number(facts.standing.get().unwrap().phase);
    let scraped = |q: &gate::Question, value: String| {
        let (from, to) = (q.window.from * 1000 + 4_000, q.window.to * 1000 - 7_000);
        let count = (to - from) / SCRAPE + 1;
        let run = Run { from, to: from + (count - 1) * SCRAPE, count: count as u64, widest: SCRAPE, value };
        vec![Series { labels: labels(&[]), usual_ms: SCRAPE, runs: vec![run] }]
    };
    let backends = |q: &gate::Question, of: &[(&str, &dyn Fn(i64) -> u64)]| {
        of.iter().map(|(backend, at)| counted(q, labels(&[("backend", backend)]), at)).collect::<Vec<_>>()
    };
    let minutes = &facts.decisions.get().unwrap().minutes;
    let asked =
        |of: fn(&Minute) -> u64| move |at: i64| minutes.iter().filter(|m| m.at * 60 <= at).map(of).sum::<u64>() + 900;
    let operations = &facts.journal.get().unwrap().operations;
    let applied = |backend: Backend| {
        let counts = move |o: &&Operation| o.backend == backend && o.applied().is_some();
        move |at: i64| operations.iter().filter(counts).filter(|o| o.ended.unwrap() <= at).count() as u64
    };
    let answer = |q: &gate::Question| match q.name.as_str() {
        "up" | "known" => scraped(q, "1".into()),
        "start" => scraped(q, (NOW - 9 * limits::DAY).to_string()),
        "phase" => scraped(q, own.clone()),
        "requests" => {
            backends(q, &[("rust", &asked(|m| m.rust)), ("perl", &asked(|m| m.perl)), ("none", &asked(|m| m.none))])
        }
        "applies" => backends(q, &[("rust", &applied(Backend::Rust)), ("legacy", &applied(Backend::Legacy))]),
        name if name.starts_with("phase of") => scraped(q, number(lead)),
        _ => vec![counted(q, labels(&[]), &|_| 0)],
    };
    let queries = questions.iter().map(|q| Query {
        name: q.name.clone(),
        expr: q.expr.clone(),
        step: q.step,
        from: q.window.from,
        to: q.window.to,
        answer: Said::Is(answer(q)),
    });
    Prometheus {
        url: "http://192.0.2.5:9090".into(),
        selector: SELECTOR.into(),
        skew_ms: 40,
        within_ms: 3,
        queries: queries.collect(),
    }
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn counted(q: &gate::Question, labels: BTreeMap<String, String>, at: &dyn Fn(i64) -> u64) -> Series {
    let times = (0..).map(|n| q.window.from + n * q.step).take_while(|t| *t <= q.window.to);
    Series::of(labels, times.map(|t| (t * 1000, at(t).to_string())))
}

/// To change a fact that is there.
pub fn is<T>(said: &mut Said<T>) -> &mut T {
    match said {
        Said::Is(it) => it,
        Said::Missing(why) => panic!("{why}"),
    }
}

/// To change the answer to one question.
pub fn query<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Query {
    is(&mut facts.prometheus).queries.iter_mut().find(|q| q.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// To change its only series, or the first one.
pub fn series<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Series {
    &mut is(&mut query(facts, name).answer)[0]
}

/// The same, for one backend.
pub fn backend<'a>(facts: &'a mut Facts, name: &str, backend: &str) -> &'a mut Series {
    let all = is(&mut query(facts, name).answer);
    all.iter_mut().find(|s| s.labels.get("backend").is_some_and(|b| b == backend)).unwrap()
}

/// What a counter shows from the day before on.
pub fn grows(series: &mut Series, by: u64) {
    let at = (NOW - limits::DAY) * 1000;
    let old = std::mem::take(&mut series.runs);
    let mut values = Vec::new();
    for run in old {
        let steps = run.count.max(1) as i64;
        let step = if steps > 1 { (run.to - run.from) / (steps - 1) } else { 0 };
        values.extend((0..steps).map(|n| (run.from + n * step, run.value.clone())));
    }
    let more = |t: i64, v: String| if t >= at { (v.parse::<u64>().unwrap() + by).to_string() } else { v };
    *series = Series::of(series.labels.clone(), values.into_iter().map(|(t, v)| (t, more(t, v))));
}

/// Cuts scrapes out: those of `seconds` from the day before on.
pub fn gap(series: &mut Series, seconds: i64) {
    let run = series.runs.remove(0);
    let (from, to) = ((NOW - limits::DAY) * 1000, (NOW - limits::DAY + seconds) * 1000);
    let before = (from - run.from) / SCRAPE + 1;
    let after = (run.to - to) / SCRAPE;
    let first = Run { to: run.from + (before - 1) * SCRAPE, count: before as u64, ..run.clone() };
    let last = Run { from: run.to - (after - 1) * SCRAPE, count: after as u64, ..run };
    series.runs = vec![first, last];
}

/// A run in the middle has another value.
pub fn differs(series: &mut Series, value: &str) {
    gap(series, 2 * SCRAPE / 1000);
    let at = series.runs[0].to + SCRAPE;
    series.runs.insert(1, Run { from: at, to: at + SCRAPE, count: 2, widest: SCRAPE, value: value.into() });
}

#[track_caller]
pub fn expect(facts: &Facts, name: &str, verdict: Judgement, check: &str, words: &str) {
    let judged = judged(facts);
    let lines: Vec<String> = judged
        .checks
        .iter()
        .filter(|c| c.verdict != Judgement::Pass)
        .map(|c| format!("{} {}: {}", c.verdict.as_str(), c.name, c.reason))
        .collect();
    let found = judged.checks.iter().find(|c| c.name == check).unwrap_or_else(|| panic!("{name}: no check {check}"));
    assert_eq!(judged.verdict, verdict, "{name}: {lines:#?}");
    assert_ne!(found.verdict, Judgement::Pass, "{name}: {lines:#?}");
    assert!(found.reason.contains(words), "{name}: {lines:#?}");
}
