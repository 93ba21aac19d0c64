//! The weekly report: what happened, for people, from the same sources as a gate.
//!
//! ```text
//!   journal, log, history, Prometheus ─► read ─► Report ─► html (with svg) | JSON | text
//! ```
//!
//! It judges nothing of its own; what the gate says now stands in it. What could not be had is said in its place.

mod html;
mod svg;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use history::journal::Backend;
use phase::Phase;
use serde::{Deserialize, Serialize};

use crate::facts::{Decisions, Facts, Journal, Past, Prometheus, Query, Said, Standing};
use crate::gate::{self, Judgement, Question, Verdict, Window, moment, span};
use crate::latency::{self, Comparison};
use crate::read::{self, Node, Sources, decisions, journal, standing};
use crate::shown;

pub use html::page;

/// Version of the form; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// A day, in seconds.
const DAY: i64 = 86_400;

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The node whose files were read.
    pub node: String,
    /// From when, in seconds since the epoch.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// What the gate for the next phase says now; none at `rust-full`.
    pub gate: Option<Verdict>,
    /// Applies that came to their end.
    pub applies: Said<Vec<Apply>>,
    /// Rust's applies against Perl's, those of 90 days included; none if there are too few.
    pub latency: Option<Comparison>,
    /// Requests by day.
    pub days: Said<Vec<Day>>,
    /// Every node of the order, as Prometheus saw it.
    pub nodes: Vec<Seen>,
    /// What somebody should look at, a line each.
    pub outstanding: Vec<String>,
}

/// One apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// When it ended: seconds since the epoch.
    pub time: i64,
    /// Who applied.
    pub backend: Backend,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// Requests that came on one day, by the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// When it begins: seconds since the epoch.
    pub at: i64,
    /// Answered by Rust.
    pub rust: u64,
    /// Answered by Perl, by right or instead.
    pub perl: u64,
    /// Answered by nobody.
    pub none: u64,
    /// Of Perl's, those that Rust should have answered.
    pub fallbacks: u64,
}

/// A node, as Prometheus saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name.
    pub node: String,
    /// The phases that it was in, one after the other.
    pub phases: Said<Vec<Stay>>,
    /// Scrapes that came, of those expected: 0 to 1.
    pub coverage: Said<f64>,
    /// Times without a successful scrape that were longer than two minutes.
    pub gaps: Vec<(i64, i64)>,
    /// How much `pve_network_fallback_total` grew.
    pub fallbacks: Said<f64>,
}

/// A time in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// From when, in seconds since the epoch.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Which; none if Prometheus saw no phase's number.
    pub phase: Option<Phase>,
}

/// Reads everything and makes the report of the last `length` seconds.
pub fn make(node: &Node, length: i64, sources: &Sources) -> Report {
    let now = node.store.clock.now().seconds();
    let window = Window { from: now - length, to: now };
    let next = node.switch.effective().phase.next();
    let facts = next.map(|wanted| read::facts(node, wanted, sources));
    let raw = Raw {
        node: node.switch.node.clone(),
        window,
        facts,
        standing: standing::standing(&node.switch),
        past: standing::past(&node.switch, &node.store, now).into(),
        journal: {
            let operations = window.from.min(now - gate::limits::BASELINE_AGE);
            journal::read(&node.store.journal(), journal::Since { operations, damage: window.from }).into()
        },
        decisions: decisions::read(&node.store.root, window.from).into(),
        prometheus: Said::Missing("no Prometheus is named".into()),
    };
    let questions = raw.questions(&sources.selector);
    let prometheus = sources.server.as_ref().map(|server| server.ask(&questions, &sources.selector).into());
    Raw { prometheus: prometheus.unwrap_or_else(|| raw.prometheus.clone()), ..raw }.report()
}

/// What was read.
struct Raw {
    node: String,
    window: Window,
    facts: Option<Facts>,
    standing: Said<Standing>,
    past: Said<Past>,
    journal: Said<Journal>,
    decisions: Said<Decisions>,
    prometheus: Said<Prometheus>,
}

impl Raw {
    fn nodes(&self) -> Vec<String> {
        let mut all = self.standing.get().map(|s| s.order.clone()).unwrap_or_default();
        if !all.contains(&self.node) {
            all.push(self.node.clone());
        }
        all
    }

    fn questions(&self, selector: &str) -> Vec<Question> {
        let step = ((self.window.to - self.window.from) / 2000).max(60);
        let of = |node: String| {
            let labels = selector.replace("{node}", &node);
            let question = |name: &str, expr: String, step| Question {
                name: format!("{name} {node}"),
                expr,
                step,
                window: self.window,
            };
            vec![
                question("up", format!("up{{{labels}}}"), 0),
                question("phase", format!("pve_network_phase{{{labels}}}"), 0),
                question("fallbacks", format!("sum(pve_network_fallback_total{{{labels}}})"), step),
            ]
        };
        self.nodes().into_iter().flat_map(of).collect()
    }

    fn report(self) -> Report {
        let gate = self.facts.as_ref().map(gate::gate);
        let latency = self.journal.get().ok().and_then(|j| {
            let of = |backend| self.applies(j, backend, self.window.to - gate::limits::BASELINE_AGE);
            let ms = |all: Vec<Apply>| all.into_iter().map(|a| a.ms).collect::<Vec<_>>();
            let rust = ms(self.applies(j, Backend::Rust, self.window.from));
            (rust.len() >= 2).then(|| latency::compare(&rust, &ms(of(Backend::Legacy)))).flatten()
        });
        let applies = match &self.journal {
            Said::Missing(why) => Said::Missing(why.clone()),
            Said::Is(j) => {
                let mut all = self.applies(j, Backend::Rust, self.window.from);
                all.extend(self.applies(j, Backend::Legacy, self.window.from));
                all.sort_by_key(|a| a.time);
                Said::Is(all)
            }
        };
        let days = match &self.decisions {
            Said::Missing(why) => Said::Missing(why.clone()),
            Said::Is(log) => Said::Is(days(log, self.window)),
        };
        Report {
            schema_version: SCHEMA_VERSION,
            node: self.node.clone(),
            from: self.window.from,
            to: self.window.to,
            outstanding: self.outstanding(gate.as_ref()),
            nodes: self.nodes().iter().map(|node| self.seen(node)).collect(),
            gate,
            applies,
            latency,
            days,
        }
    }

    fn applies(&self, journal: &Journal, backend: Backend, since: i64) -> Vec<Apply> {
        let operations = journal.operations.iter().filter(|o| o.backend == backend);
        let all = operations.filter_map(|o| Some(Apply { time: o.ended?, backend, ms: o.applied()? }));
        all.filter(|a| a.time >= since).collect()
    }

    fn answer(&self, name: &str) -> Result<&Query, String> {
        let prometheus = self.prometheus.get().map_err(str::to_owned)?;
        let found = prometheus.queries.iter().find(|q| q.name == name);
        found.ok_or_else(|| format!("Prometheus was not asked for '{name}'"))
    }

    fn seen(&self, node: &str) -> Seen {
        let series = |what: &str| -> Result<_, String> {
            let query = self.answer(&format!("{what} {node}"))?;
            let all = query.answer.get().map_err(str::to_owned)?;
            Ok((query, gate::ask::only(query, all, &[])?.clone()))
        };
        let up = series("up");
        let phases = series("phase").map(|(_, one)| {
            let phase = |text: &str| text.parse::<usize>().ok().and_then(|n| Phase::ALL.get(n).copied());
            one.runs.iter().map(|r| Stay { from: r.from / 1000, to: r.to / 1000, phase: phase(&r.value) }).collect()
        });
        let fallbacks =
            series("fallbacks").and_then(|(query, one)| gate::ask::grown(query, &one).map(|grown| grown.by));
        let length = (self.window.to - self.window.from) * 1000;
        let coverage = up.as_ref().map_err(Clone::clone).and_then(|(_, one)| {
            let good: u64 = one.runs.iter().filter(|r| r.value == "1").map(|r| r.count).sum();
            #[allow(clippy::cast_precision_loss, reason = "counts of scrapes")]
            let share = good as f64 * one.usual_ms as f64 / length as f64;
            if one.usual_ms > 0 { Ok(share.min(1.0)) } else { Err("too few scrapes".to_owned()) }
        });
        let gaps = up.map(|(_, one)| holes(&one, self.window)).unwrap_or_default();
        let said = |had: Result<f64, String>| had.map_or_else(Said::Missing, Said::Is);
        Seen {
            node: node.to_owned(),
            phases: phases.map_or_else(Said::Missing, Said::Is),
            coverage: said(coverage),
            gaps,
            fallbacks: said(fallbacks),
        }
    }

    fn outstanding(&self, gate: Option<&Verdict>) -> Vec<String> {
        let mut out = Vec::new();
        if let Ok(past) = self.past.get() {
            for over in &past.overrides {
                let word = if over.expires <= self.window.to { "EXPIRED" } else { "holds until" };
                out.push(format!(
                    "override of a {} to {}: {word} {}: {}",
                    over.of,
                    over.to,
                    moment(over.expires),
                    over.reason
                ));
            }
        }
        for check in gate.iter().flat_map(|g| &g.checks).filter(|c| c.verdict != Judgement::Pass) {
            out.push(format!("gate, {} ({}): {}", check.name, check.verdict.as_str(), check.reason));
        }
        if let Said::Missing(why) = &self.prometheus {
            out.push(format!("Prometheus: {why}"));
        }
        out
    }
}

/// Times longer than two minutes without a scrape that succeeded.
fn holes(series: &crate::facts::Series, window: Window) -> Vec<(i64, i64)> {
    let mut at = window.from * 1000;
    let mut out = Vec::new();
    for run in series.runs.iter().filter(|run| run.value == "1") {
        out.push((at / 1000, run.from / 1000));
        if run.widest > gate::limits::GAP {
            // Where within the run is not kept; that it is there has to be seen.
            out.push((run.from / 1000, (run.from + run.widest) / 1000));
        }
        at = run.to;
    }
    out.push((at / 1000, window.to));
    out.retain(|(from, to)| (to - from) * 1000 > gate::limits::GAP);
    out
}

fn days(log: &Decisions, window: Window) -> Vec<Day> {
    let mut all: BTreeMap<i64, Day> = BTreeMap::new();
    let first = window.from.div_euclid(DAY);
    for day in first..=window.to.div_euclid(DAY) {
        all.insert(day, Day { at: day * DAY, rust: 0, perl: 0, none: 0, fallbacks: 0 });
    }
    for minute in log.minutes.iter().filter(|m| m.at * 60 >= window.from) {
        if let Some(day) = all.get_mut(&(minute.at * 60).div_euclid(DAY)) {
            day.rust += minute.rust;
            day.perl += minute.perl;
            day.none += minute.none;
            day.fallbacks += minute.fallbacks;
        }
    }
    all.into_values().collect()
}

/// For a mail.
pub fn text(report: &Report) -> String {
    let mut out = format!("pve-network-rs on {}, {} to {}\n\n", report.node, moment(report.from), moment(report.to));
    match &report.gate {
        Some(verdict) => {
            let _ = writeln!(out, "{}", shown::line(verdict));
        }
        None => out.push_str("the node is at rust-full\n"),
    }
    let _ = match report.applies.get() {
        Ok(all) => {
            let count = |backend| all.iter().filter(|a| a.backend == backend).count();
            writeln!(out, "applies: {} by Rust, {} by Perl", count(Backend::Rust), count(Backend::Legacy))
        }
        Err(why) => writeln!(out, "applies: not known: {why}"),
    };
    if let Some(Comparison { estimate, lower, upper }) = report.latency {
        let _ = writeln!(out, "Rust takes {estimate:.2} of Perl's time (95 %: {lower:.2} to {upper:.2})");
    }
    let _ = match report.days.get() {
        Ok(days) => {
            let sum = |of: fn(&Day) -> u64| days.iter().map(of).sum::<u64>();
            writeln!(
                out,
                "requests: {} answered by Rust, {} by Perl, {} by nobody; {} fallbacks",
                sum(|d| d.rust),
                sum(|d| d.perl),
                sum(|d| d.none),
                sum(|d| d.fallbacks)
            )
        }
        Err(why) => writeln!(out, "requests: not known: {why}"),
    };
    for seen in &report.nodes {
        let phase = match seen.phases.get() {
            Ok(stays) => {
                stays.last().and_then(|s| s.phase).map_or_else(|| "unknown phase".to_owned(), |p| p.to_string())
            }
            Err(why) => why.to_owned(),
        };
        let coverage = seen
            .coverage
            .get()
            .map_or_else(|_| "no scrapes".to_owned(), |c| format!("{:.2} % of the scrapes", c * 100.0));
        let fallbacks =
            seen.fallbacks.get().map_or_else(|_| "fallbacks not known".to_owned(), |f| format!("{f} fallbacks"));
        let _ = writeln!(out, "{}: {phase}, {coverage}, {fallbacks}", seen.node);
        for (from, to) in &seen.gaps {
            let _ = writeln!(out, "{}: not seen from {} for {}", seen.node, moment(*from), span(to - from));
        }
    }
    out.push_str("\noutstanding:\n");
    for line in &report.outstanding {
        let _ = writeln!(out, "- {}", shown::plain(line));
    }
    if report.outstanding.is_empty() {
        out.push_str("- nothing\n");
    }
    out
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
