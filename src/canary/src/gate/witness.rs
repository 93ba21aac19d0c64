//! Whether the two witnesses can be believed, and whether they say the same: the node's own files, and Prometheus.

use history::journal::{Backend, Outcome};
use phase::Phase;

use super::{Check, Draft, Question, Window, ahead, ask, limits, moment, questions, span};
use crate::facts::{Decisions, Facts, Journal, Operation, Prometheus, Series};

pub(super) const JOURNAL: &str = "operations.jsonl";
pub(super) const LOG: &str = "migration.log";
const CLOCK: &str = "Prometheus' clock";

/// None of it is asked for where nothing of Rust's has run yet; the journal has to be there all the same.
pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let window = limits::window(facts.wanted, facts.now);
    if window.from == window.to {
        return vec![journal(facts, window)];
    }
    vec![
        clock(facts, window),
        journal(facts, window),
        decisions(facts, window),
        scrape(facts, window),
        restarts(facts, window),
        phase(facts, window),
        requests(facts, window),
        agreement(facts, window),
    ]
}

/// The questions of this gate, and Prometheus' answers.
pub(super) fn asked(facts: &Facts) -> Result<(&Prometheus, Vec<Question>), String> {
    let prometheus = facts.prometheus.get().map_err(str::to_owned)?;
    let order = facts.standing.get().map(|s| ahead(&s.order, &facts.node)).unwrap_or_default();
    let all = questions(facts.wanted, facts.now, &facts.node, &order, &prometheus.selector);
    Ok((prometheus, all))
}

/// A counter's growth, with its query.
pub(super) fn counter(facts: &Facts, name: &str, labels: &[(&str, &str)]) -> Result<(ask::Grown, String), String> {
    let (prometheus, all) = asked(facts)?;
    let (query, series) = ask::answer(prometheus, &all, name)?;
    let grown = ask::grown(query, ask::only(query, series, labels)?)?;
    Ok((grown, query.expr.clone()))
}

/// The scrapes of one metric.
fn scrapes<'a>(facts: &'a Facts, name: &str) -> Result<(&'a Series, &'a str), String> {
    let (prometheus, all) = asked(facts)?;
    let (query, series) = ask::answer(prometheus, &all, name)?;
    Ok((ask::only(query, series, &[])?, &query.expr))
}

/// Both witnesses, and the one within the node, go by the same time.
fn clock(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("clock");
    let limit = Some(format!("at most {} s", limits::SKEW / 1000));
    if let Some(prometheus) = check.get(&facts.prometheus) {
        let (skew, within) = (prometheus.skew_ms, prometheus.within_ms);
        check.saw(
            "clock of Prometheus less the node's",
            format!("{skew} ms, give or take {within} ms"),
            limit.clone(),
            CLOCK,
        );
        if skew.saturating_abs().saturating_add(within.saturating_abs()) > limits::SKEW {
            check.open(format!(
                "the clocks of this node and of Prometheus differ by {} s (give or take {} ms)",
                skew / 1000,
                within
            ));
        }
    }
    let late = facts.now + limits::SKEW / 1000;
    if let Some(journal) = check.get(&facts.journal) {
        backwards(&mut check, &journal.backwards, window, JOURNAL);
        if journal.latest.is_none() && !journal.operations.is_empty() {
            check.open(format!("{JOURNAL} does not say when it was written last"));
        }
        future(&mut check, journal.latest, late, JOURNAL);
    }
    if let Some(log) = check.get(&facts.decisions) {
        backwards(&mut check, &log.backwards, window, LOG);
        future(&mut check, log.last, late, LOG);
    }
    if let Some((series, expr)) = check.take(scrapes(facts, "start"))
        && let Some(run) = series.runs.first()
        && let Some(start) = check.take(ask::number(&run.value))
    {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of this millennium")]
        let ahead = start * 1000.0 - run.from as f64;
        check.saw("the exporter's start less its first scrape", format!("{:.0} s", ahead / 1000.0), limit, expr);
        #[allow(clippy::cast_precision_loss, reason = "ten thousand")]
        if ahead > limits::SKEW as f64 {
            check.open(format!(
                "the exporter was scraped {:.0} s before it started: the node's clock was ahead",
                ahead / 1000.0
            ));
        }
    }
    check.end(format!("within {} s of each other", limits::SKEW / 1000))
}

fn backwards(check: &mut Draft, times: &[i64], window: Window, source: &str) {
    let within: Vec<i64> = times.iter().copied().filter(|t| *t >= window.from).collect();
    check.saw("times that go back", within.len(), Some("0".into()), source);
    if let Some(first) = within.first() {
        check.open(format!("the times in {source} go back at {}: the node's clock was set", moment(*first)));
    }
}

fn future(check: &mut Draft, newest: Option<i64>, late: i64, source: &str) {
    if let Some(newest) = newest {
        check.saw("newest time", moment(newest), Some("not in the future".into()), source);
        if newest > late {
            check.open(format!("{source} has a line from the future, {}: the node's clock was ahead", moment(newest)));
        }
    }
}

/// The journal is whole, and nothing is under way.
fn journal(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("journal");
    let Some(journal) = check.get(&facts.journal) else { return check.end("") };
    check.saw("unreadable lines", journal.damaged, Some("0".into()), JOURNAL);
    if journal.damaged > 0 {
        check.open(format!("{} lines of {JOURNAL} can't be read: what they recorded is not known", journal.damaged));
    }
    let open: Vec<&str> = journal.operations.iter().filter(|o| o.outcome.is_none()).map(|o| o.id.as_str()).collect();
    check.saw("operations without an end", open.len(), Some("0".into()), JOURNAL);
    if let Some(first) = open.first() {
        check.open(format!("operation {first} has no end: it is under way, or its program was killed"));
    }
    // What failed within the time looked at is a matter of its own.
    let older = |o: &&Operation| o.outcome == Some(Outcome::Failed) && o.ended.unwrap_or(o.began) < window.from;
    let mended = |at: usize| journal.operations[at..].iter().any(|o| o.is_apply() && o.outcome == Some(Outcome::Done));
    let halves = journal.operations.iter().enumerate();
    let halves = halves.filter(|(at, o)| o.backend == Backend::Rust && older(o) && !mended(*at)).map(|(_, o)| o);
    let halves: Vec<&Operation> = halves.collect();
    check.saw("older writes of Rust's that failed, with no apply since", halves.len(), Some("0".into()), JOURNAL);
    if let Some(first) = halves.first() {
        check.open(format!(
            "operation {} failed at {} and was not taken back; nothing was applied since: what it left is not known",
            first.id,
            moment(first.ended.unwrap_or(first.began))
        ));
    }
    let count = journal.operations.iter().filter(|o| o.began >= window.from).count();
    check.end(format!("whole; {count} operations in the time looked at"))
}

/// The decision log is kept, and whole.
fn decisions(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("decisions");
    if let Some(standing) = check.get(&facts.standing) {
        check.saw("log_migration_decisions", standing.logs_decisions, Some("true".into()), "migration.toml");
        if !standing.logs_decisions {
            check.open("log_migration_decisions is off: there is no witness on the node");
        }
    }
    let Some(log) = check.get(&facts.decisions) else { return check.end("") };
    let lines: u64 = log.files.iter().map(|f| f.lines).sum();
    let names = log.files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
    check.saw("lines", lines, None, names);
    check.saw("unreadable lines", log.unreadable, Some("0".into()), LOG);
    if log.files.is_empty() {
        check.open(format!("there is no {LOG}"));
    }
    if log.first.is_none() || log.last.is_none() {
        check.open(format!("{LOG} has no line that says when"));
    }
    if log.unreadable > 0 {
        check.open(format!("{} lines of {LOG} can't be read, or are of another version", log.unreadable));
    }
    if let Some((grown, expr)) = check.take(counter(facts, "dropped", &[])) {
        check.saw("lines that could not be written", grown.by, Some("0".into()), expr);
        if grown.by > 0.0 {
            check.open(format!("{} lines of {LOG} could not be written and are missing", grown.by));
        }
    }
    let first = log.first.map_or_else(|| "none".to_owned(), moment);
    check.saw("oldest line", first, None, LOG);
    check.end(format!("{lines} lines, from {} on", moment(log.first.unwrap_or(window.from))))
}

/// The scrapes of one metric come all the time.
#[allow(clippy::cast_precision_loss, reason = "counts of a week")]
fn covered(check: &mut Draft, series: &Series, expr: &str, window: Window) {
    let (from, to) = (window.from * 1000, window.to * 1000);
    let (count, usual) = (series.count(), series.usual_ms);
    if usual <= 0 {
        check.open(format!("Prometheus has {count} values of {expr}: too few to tell how often it scrapes"));
        return;
    }
    let share = count as f64 / ((to - from) as f64 / usual as f64);
    check.saw(
        "coverage",
        format!("{:.2} %", share.min(1.0) * 100.0),
        Some(format!("at least {} %", limits::COVERAGE * 100.0)),
        expr,
    );
    if usual > limits::SELDOM {
        check.open(format!("Prometheus scrapes this node every {} only", span(usual / 1000)));
    }
    if share < limits::COVERAGE {
        check.open(format!(
            "Prometheus has {:.2} % of the scrapes, and {} % are needed ({expr})",
            share * 100.0,
            limits::COVERAGE * 100.0
        ));
    }
    let allowed = limits::GAP.max(4 * usual);
    let (gap, since) = series.widest(from, to);
    check.saw(
        "longest time without a scrape",
        span(gap / 1000),
        Some(format!("at most {}", span(allowed / 1000))),
        expr,
    );
    if gap > allowed {
        check.open(format!("no scrape for {} from {} on ({expr})", span(gap / 1000), moment(since / 1000)));
    }
}

/// Prometheus saw the exporter all the time.
fn scrape(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("scrape");
    let Some((series, expr)) = check.take(scrapes(facts, "up")) else { return check.end("") };
    let count = series.count();
    check.saw("scrapes", count, None, expr);
    check.saw(
        "usual interval",
        format!("{} s", series.usual_ms / 1000),
        Some(format!("at most {} s", limits::SELDOM / 1000)),
        expr,
    );
    covered(&mut check, series, expr, window);
    let down: Vec<_> = series.runs.iter().filter(|run| run.value != "1").collect();
    let failed: u64 = down.iter().map(|run| run.count).sum();
    check.saw("scrapes that failed", failed, Some("0".into()), expr);
    if let Some(first) = down.first() {
        check.open(format!(
            "the target was down: {failed} scrapes failed, the first at {} (up = {})",
            moment(first.from / 1000),
            first.value
        ));
    }
    check.end(format!("{count} scrapes, none failed"))
}

/// One process served all the time: a restart loses counts.
fn restarts(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("restarts");
    let Some((series, expr)) = check.take(scrapes(facts, "start")) else { return check.end("") };
    covered(&mut check, series, expr, window);
    check.saw("starts seen", series.runs.len(), Some("1".into()), expr);
    for run in &series.runs {
        check.take(ask::number(&run.value).map_err(|why| format!("{expr}: {why} at {}", moment(run.from / 1000))));
    }
    if let [.., last] = series.runs.as_slice()
        && series.runs.len() > 1
    {
        let since = last.from / 1000;
        check.open(format!(
            "pve-network-migration was restarted: since {} it has run for {}; ask again at {}",
            moment(since),
            span(facts.now - since),
            moment(since + limits::needed(facts.wanted))
        ));
    }
    check.end("the service ran without a restart")
}

/// Prometheus saw this phase, and no other.
fn phase(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("phase");
    let standing = check.get(&facts.standing);
    let number = standing.map(|s| Phase::ALL.into_iter().position(|p| p == s.phase).unwrap_or(0));
    if let Some((series, expr)) = check.take(scrapes(facts, "phase")) {
        covered(&mut check, series, expr, window);
        let values: Vec<&str> = series.runs.iter().map(|r| r.value.as_str()).collect();
        check.saw("pve_network_phase", values.join(", "), number.map(|n| format!("{n}")), expr);
        #[allow(clippy::cast_precision_loss, reason = "at most 5")]
        let is = |text: &str| ask::number(text).is_ok_and(|v| number.is_some_and(|n| v == n as f64));
        if let Some(run) = series.runs.iter().find(|run| !is(&run.value)) {
            check.open(format!(
                "Prometheus saw another phase than the node's: pve_network_phase was {} at {}",
                run.value,
                moment(run.from / 1000)
            ));
        }
    }
    if let Some((series, expr)) = check.take(scrapes(facts, "known")) {
        covered(&mut check, series, expr, window);
        let unknown: u64 = series.runs.iter().filter(|r| r.value != "1").map(|r| r.count).sum();
        check.saw("scrapes with pve_network_phase_known other than 1", unknown, Some("0".into()), expr);
        if unknown > 0 {
            check.open(format!("the middleware did not know the phase in {unknown} scrapes"));
        }
    }
    check.end(standing.map_or_else(String::new, |s| format!("{} all the time, by both witnesses", s.phase)))
}

/// Rust answered enough to say anything.
fn requests(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("requests");
    let limit = Some(format!("at least {}", limits::LEAST_REQUESTS));
    if let Some(log) = check.get(&facts.decisions) {
        let (_, most) = between(log, window, 0, |m| m.rust);
        check.saw("requests answered by Rust", most, limit.clone(), LOG);
        if most < limits::LEAST_REQUESTS {
            check.open(format!("Rust answered {most} requests; fewer than {} say nothing", limits::LEAST_REQUESTS));
        }
    }
    if let Some((grown, expr)) = check.take(counter(facts, "requests", &[("backend", "rust")])) {
        check.saw("requests answered by Rust", grown.by, limit, expr);
        #[allow(clippy::cast_precision_loss, reason = "a hundred")]
        if grown.by < limits::LEAST_REQUESTS as f64 {
            check.open(format!(
                "Prometheus saw Rust answer {} requests; fewer than {} say nothing",
                grown.by,
                limits::LEAST_REQUESTS
            ));
        }
    }
    check.end("Rust was asked enough")
}

/// The least and the most that the log may say of a time whose edges are blurred by `edge` seconds.
fn between(log: &Decisions, window: Window, edge: i64, of: impl Fn(&super::super::facts::Minute) -> u64) -> (u64, u64) {
    let count = |from: i64, to: i64| -> u64 {
        log.minutes.iter().filter(|m| m.at * 60 + 60 > from && m.at * 60 < to).map(&of).sum()
    };
    (count(window.from + edge + 60, window.to - edge - 60), count(window.from - edge, window.to + edge))
}

/// Both say the same: requests by who answered, applies by who applied.
fn agreement(facts: &Facts, window: Window) -> Check {
    let mut check = Draft::new("agreement");
    let usual = scrapes(facts, "up").map_or(0, |(series, _)| series.usual_ms / 1000);
    let edge = limits::EDGE + 2 * usual;
    if let Some(log) = check.get(&facts.decisions) {
        type Of = fn(&crate::facts::Minute) -> u64;
        let of: [(&str, Of); 3] = [("rust", |m| m.rust), ("perl", |m| m.perl), ("none", |m| m.none)];
        for (backend, of) in of {
            let said = between(log, window, edge, of);
            compare(&mut check, facts, ("requests", backend), said, LOG);
        }
    }
    if let Some(journal) = check.get(&facts.journal) {
        for (backend, of) in [("rust", Backend::Rust), ("legacy", Backend::Legacy)] {
            let said = (
                applies(journal, of, window.from + edge, window.to - edge),
                applies(journal, of, window.from - edge, window.to + edge),
            );
            compare(&mut check, facts, ("applies", backend), said, JOURNAL);
        }
    }
    check.end("journal, log and Prometheus count the same")
}

/// Applies as the exporter counts them.
fn applies(journal: &Journal, of: Backend, from: i64, to: i64) -> u64 {
    let ended = |o: &&crate::facts::Operation| o.ended.is_some_and(|at| at >= from && at <= to);
    journal.operations.iter().filter(|o| o.backend == of && o.applied().is_some()).filter(ended).count() as u64
}

fn compare(check: &mut Draft, facts: &Facts, (name, backend): (&str, &str), said: (u64, u64), source: &str) {
    let Some((grown, expr)) = check.take(counter(facts, name, &[("backend", backend)])) else { return };
    let (least, most) = said;
    let shown = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    check.saw(format!("{name}, {backend}"), grown.by, Some(shown.clone()), format!("{expr} against {source}"));
    #[allow(clippy::cast_precision_loss, reason = "counts")]
    if grown.by < least as f64 || grown.by > most as f64 {
        check.open(format!(
            "the witnesses disagree on {name} ({backend}): {source} has {shown}, Prometheus {} (from {} to {})",
            grown.by, grown.first, grown.last
        ));
    }
}
