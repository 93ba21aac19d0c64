//! Whether Rust did well: fallbacks, failures, how long its applies took, and the contract test.

use history::journal::{Backend, Outcome};
use phase::Phase;

use super::witness::{JOURNAL, LOG, counter};
use super::{Check, Draft, limits, moment, span};
use crate::facts::{Facts, Journal};
use crate::latency::{self, Comparison, Speed};

/// The word for a report in which nothing differs.
const EQUAL: &str = "equal";
/// The version of a report that is understood.
const REPORT: u32 = 1;
/// How many bad requests a reason names.
const SHOWN: usize = 3;

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    if limits::needed(facts.wanted) == 0 {
        return Vec::new();
    }
    vec![fallbacks(facts), failures(facts), latency(facts), contract(facts)]
}

/// Operations of Rust's that came to their end well, before the time was looked at or within it.
pub(super) fn proven(facts: &Facts) -> Vec<String> {
    let Ok(journal) = facts.journal.get() else { return Vec::new() };
    let rust = journal.operations.iter().filter(|o| o.backend == Backend::Rust && o.outcome == Some(Outcome::Done));
    rust.map(|o| o.id.clone()).collect()
}

/// None, by either witness.
fn fallbacks(facts: &Facts) -> Check {
    let mut check = Draft::new("fallbacks");
    let since = facts.now - limits::needed(facts.wanted);
    if let Some(log) = check.get(&facts.decisions) {
        let all: Vec<_> = log.bad.iter().filter(|b| b.fallback && b.time >= since).collect();
        check.saw("requests that fell back to Perl", all.len(), Some("0".into()), LOG);
        if !all.is_empty() {
            let named: Vec<String> =
                all.iter().take(SHOWN).map(|b| format!("{} at {}: {}", b.request, moment(b.time), b.reason)).collect();
            check.fail(format!("{} requests fell back to Perl ({})", all.len(), named.join(", ")));
        }
    }
    if let Some((grown, expr)) = check.take(counter(facts, "fallbacks", &[])) {
        check.saw("pve_network_fallback_total grew by", grown.by, Some("0".into()), expr);
        if grown.by > 0.0 {
            check.fail(format!("Prometheus counts {} fallbacks", grown.by));
        }
    }
    check.end("none")
}

/// No write of unknown outcome, no open breaker, no request without an answer, no operation that failed.
fn failures(facts: &Facts) -> Check {
    let mut check = Draft::new("failures");
    let since = facts.now - limits::needed(facts.wanted);
    for (name, what) in [
        ("unknown", "writes whose outcome is unknown"),
        ("opened", "times that the breaker took a phase away"),
        ("unanswered", "requests that nobody answered"),
    ] {
        if let Some((grown, expr)) = check.take(counter(facts, name, &[])) {
            check.saw(what, grown.by, Some("0".into()), expr);
            if grown.by > 0.0 {
                check.fail(format!("Prometheus counts {} {what}", grown.by));
            }
        }
    }
    if let Some(log) = check.get(&facts.decisions) {
        let bad: Vec<_> = log.bad.iter().filter(|b| !b.fallback && b.time >= since).collect();
        check.saw("requests that nobody answered", bad.len(), Some("0".into()), LOG);
        if let Some(first) = bad.first() {
            check.fail(format!(
                "{} requests had no answer, the first at {}: {} ({}, {})",
                bad.len(),
                moment(first.time),
                first.request,
                first.status,
                first.reason
            ));
        }
    }
    if let Some(journal) = check.get(&facts.journal) {
        let recent = journal.operations.iter().filter(|o| o.ended.unwrap_or(o.began) >= since);
        let bad: Vec<_> = recent
            .filter(|o| o.backend == Backend::Rust && matches!(o.outcome, Some(Outcome::Failed | Outcome::RolledBack)))
            .collect();
        check.saw("operations of Rust's that failed or were taken back", bad.len(), Some("0".into()), JOURNAL);
        if let Some(first) = bad.first() {
            let how = if first.outcome == Some(Outcome::Failed) { "failed" } else { "was taken back" };
            check.fail(format!(
                "{} operations of Rust's did not succeed, the first: {} by {} {how} at {}",
                bad.len(),
                first.id,
                first.tool,
                moment(first.ended.unwrap_or(first.began))
            ));
        }
    }
    check.end("none")
}

/// Rust's applies against Perl's. A node that does not apply through Rust yet needs Perl's figures only: afterwards
/// it is too late to record them.
fn latency(facts: &Facts) -> Check {
    let mut check = Draft::new("latency");
    let Some(journal) = check.get(&facts.journal) else { return check.end("") };
    let since = facts.now - limits::needed(facts.wanted);
    let perl = durations(journal, Backend::Legacy, facts.now - limits::BASELINE_AGE);
    let age = Some(format!("at least {}, of the last {}", limits::LEAST_PERL, span(limits::BASELINE_AGE)));
    check.saw("applies by Perl", shown(&perl), age, JOURNAL);
    if perl.len() < limits::LEAST_PERL {
        check.open(format!(
            "{} applies by Perl within {} are no baseline, {} make one: pvenet-legacy apply",
            perl.len(),
            span(limits::BASELINE_AGE),
            limits::LEAST_PERL
        ));
    }
    if facts.wanted <= Phase::RustBasicWrite {
        return check.end(format!("a baseline of {}; Rust applies nothing yet", shown(&perl)));
    }
    let rust = durations(journal, Backend::Rust, since);
    check.saw("applies by Rust", shown(&rust), Some(format!("at least {}", limits::LEAST_RUST)), JOURNAL);
    if rust.len() < limits::LEAST_RUST {
        check.open(format!("{} applies by Rust are too few, {} are needed", rust.len(), limits::LEAST_RUST));
    }
    if rust.len() < limits::LEAST_RUST || perl.len() < limits::LEAST_PERL {
        return check.end("");
    }
    let Some(compared) = latency::compare(&rust, &perl) else {
        check.open("too few applies to compare them");
        return check.end("");
    };
    let Comparison { estimate, lower, upper } = compared;
    let words = format!("{estimate:.2} of Perl's time, with 95 % confidence {lower:.2} to {upper:.2}");
    check.saw("Rust's time", &words, Some(format!("upper bound below {}", latency::MARGIN)), JOURNAL);
    match compared.speed() {
        Speed::Fine => {}
        Speed::Slower => check.fail(format!("Rust's applies are slower: {words}; allowed is {}", latency::MARGIN)),
        Speed::Open => check.open(format!(
            "it is not ruled out that Rust's applies are slower than {} of Perl's time: {words}; more applies tell more",
            latency::MARGIN
        )),
    }
    check.end(words)
}

/// Durations of applies that came to their end, from `since` on.
fn durations(journal: &Journal, backend: Backend, since: i64) -> Vec<u64> {
    let applies = journal.operations.iter().filter(|o| o.backend == backend);
    applies.filter(|o| o.ended.is_some_and(|at| at >= since)).filter_map(|o| o.applied()).collect()
}

fn shown(durations: &[u64]) -> String {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    match sorted.get(sorted.len() / 2) {
        None => "0".to_owned(),
        Some(median) => format!("{}, median {median} ms", sorted.len()),
    }
}

/// The latest report says "equal", of this node, in this phase, within a day.
fn contract(facts: &Facts) -> Check {
    let mut check = Draft::new("contract");
    let Some(report) = check.get(&facts.contract) else { return check.end("") };
    let age = facts.now - report.started;
    let count = |word: &str| report.endpoints.get(word).copied().unwrap_or_default();
    let all: Vec<String> = report.endpoints.iter().map(|(word, count)| format!("{count} {word}")).collect();
    check.saw("verdict", &report.verdict, Some(EQUAL.into()), &report.file);
    check.saw("endpoints", all.join(", "), Some("some equal, none differing or inconclusive".into()), &report.file);
    check.saw(
        "begun",
        format!("{} ago", span(age)),
        Some(format!("at most {}", span(limits::CONTRACT_AGE))),
        &report.file,
    );
    check.saw("node", &report.node, Some(facts.node.clone()), &report.file);
    if report.schema_version != REPORT {
        check.open(format!("the report is of version {}, and this version knows {REPORT}", report.schema_version));
    }
    if report.node != facts.node {
        check.open(format!("the latest report of contract-test is of node {}", report.node));
    }
    let named = report.lines.first().map(|line| format!(": {line}")).unwrap_or_default();
    match report.verdict.as_str() {
        EQUAL if count("differing") > 0 || count("inconclusive") > 0 || count(EQUAL) == 0 => {
            check.open("the report says equal, and its endpoints do not");
        }
        EQUAL => {}
        "differing" => {
            check.fail(format!("Rust does not answer as Perl does at {} endpoints{named}", count("differing")))
        }
        other => check.open(format!("contract-test could not tell: {other}{named}")),
    }
    if age < -limits::SKEW / 1000 {
        check.open(format!("the report lies in the future, at {}", moment(report.started)));
    } else if age > limits::CONTRACT_AGE {
        check.open(format!(
            "the latest report of contract-test is {} old, and may be {}: run it again",
            span(age),
            span(limits::CONTRACT_AGE)
        ));
    }
    if let Ok(past) = facts.past.get()
        && let Some(step) = past.steps.last()
        && report.started < step.time
    {
        check.open(format!(
            "the latest report of contract-test is from before the phase changed at {}",
            moment(step.time)
        ));
    }
    check.end(format!("{} endpoints equal, {} ago", count(EQUAL), span(age)))
}
