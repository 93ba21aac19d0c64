//! What Prometheus is asked. The gate makes the questions, and takes no answer to another one.

use phase::Phase;

use super::limits;
use crate::facts::{Prometheus, Query, Series};

/// The selector of the shipped scrape configuration; `{node}` stands for the node's name.
pub const SELECTOR: &str = r#"job="pve-network",node="{node}""#;

/// A time, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: i64,
    /// Its end.
    pub to: i64,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is for.
    pub name: String,
    /// In PromQL, without the range of a raw query.
    pub expr: String,
    /// Seconds between two values; 0 asks for the scrapes themselves.
    pub step: i64,
    /// The time.
    pub window: Window,
}

/// The name of the question for the phase of a node that goes before.
pub fn before(node: &str) -> String {
    format!("phase of {node}")
}

/// All questions of a gate. `ahead` are the nodes that go before.
pub fn questions(wanted: Phase, now: i64, node: &str, ahead: &[String], selector: &str) -> Vec<Question> {
    let window = limits::window(wanted, now);
    let of = |node: &str| selector.replace("{node}", node);
    let own = of(node);
    // What a node ahead did is looked at for as long, and a moment more where that is nothing.
    let span = Window { from: window.from.min(now - limits::FRESH), to: now };
    let mut all: Vec<Question> = ahead
        .iter()
        .map(|name| Question {
            name: before(name),
            expr: format!("pve_network_phase{{{}}}", of(name)),
            step: 0,
            window: span,
        })
        .collect();
    if window.from == window.to {
        return all;
    }
    let raw = [
        ("up", "up"),
        ("start", "process_start_time_seconds"),
        ("phase", "pve_network_phase"),
        ("known", "pve_network_phase_known"),
    ];
    all.extend(raw.map(|(name, metric)| Question {
        name: name.to_owned(),
        expr: format!("{metric}{{{own}}}"),
        step: 0,
        window,
    }));
    let counters = [
        ("requests", format!(r#"sum by (backend) (pve_network_requests_total{{{own},operation!="other"}})"#)),
        (
            "unanswered",
            format!(
                r#"sum(pve_network_requests_total{{{own},backend="none",operation!="other",outcome=~"error|unknown"}})"#
            ),
        ),
        ("fallbacks", format!("sum(pve_network_fallback_total{{{own}}})")),
        ("unknown", format!("sum(pve_network_outcome_unknown_total{{{own}}})")),
        ("opened", format!("sum(pve_network_breaker_opened_total{{{own}}})")),
        ("dropped", format!("sum(pve_network_migration_log_dropped_total{{{own}}})")),
        ("applies", format!("sum by (backend) (pve_network_apply_duration_seconds_count{{{own}}})")),
    ];
    // A day in minutes, a week in five: below the 11,000 values that Prometheus gives at once.
    let step = if window.to - window.from <= limits::DAY { 60 } else { 300 };
    all.extend(counters.map(|(name, expr)| Question { name: name.to_owned(), expr, step, window }));
    all
}

/// The answer to the question of this name, if it is the very question.
///
/// # Errors
/// It was not asked, or not so, or not answered; the reason is for a person.
pub(super) fn answer<'a>(
    prometheus: &'a Prometheus,
    questions: &[Question],
    name: &str,
) -> Result<(&'a Query, &'a [Series]), String> {
    let asked = questions.iter().find(|q| q.name == name);
    let asked = asked.ok_or_else(|| format!("'{name}' is no question of this gate"))?;
    let query = prometheus.queries.iter().find(|q| q.name == name);
    let query = query.ok_or_else(|| format!("Prometheus was not asked for '{name}'"))?;
    let same = (&query.expr, query.step, query.from, query.to)
        == (&asked.expr, asked.step, asked.window.from, asked.window.to);
    if !same {
        return Err(format!("Prometheus was asked another question for '{name}': {}", query.expr));
    }
    let series = query.answer.get().map_err(|why| format!("Prometheus did not answer '{name}': {why}"))?;
    if series.is_empty() || series.iter().any(|s| s.runs.is_empty()) {
        return Err(format!("Prometheus has no data for {}", query.expr));
    }
    Ok((query, series))
}

/// The only series of an answer with these labels.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn only<'a>(query: &Query, series: &'a [Series], labels: &[(&str, &str)]) -> Result<&'a Series, String> {
    let fits = |s: &&Series| labels.iter().all(|(name, value)| s.labels.get(*name).map(String::as_str) == Some(*value));
    let mut fitting = series.iter().filter(fits);
    let shown = || labels.iter().map(|(name, value)| format!(" with {name}={value}")).collect::<String>();
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("Prometheus has no series{} for {}", shown(), query.expr)),
        _ => Err(format!(
            "more than one series{} answers {}: the selector fits other targets as well",
            shown(),
            query.expr
        )),
    }
}

/// A value as a number that can be judged.
///
/// # Errors
/// It is NaN, infinite, or no number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("a value is {text}")),
    }
}

/// How much a counter grew, and its first and last value.
pub(crate) struct Grown {
    pub by: f64,
    pub first: f64,
    pub last: f64,
}

/// How much a counter grew within the whole time.
///
/// # Errors
/// A value is missing, is no number, or is lower than the one before.
pub(crate) fn grown(query: &Query, series: &Series) -> Result<Grown, String> {
    let (from, to, step) = (query.from * 1000, query.to * 1000, query.step.max(1) * 1000);
    let (gap, since) = series.widest(from, to);
    // The ends are steps as well: a counter that begins one late says nothing of what it was before.
    let ends = series.runs.first().zip(series.runs.last());
    let short = ends.is_none_or(|(first, last)| first.from - from >= step || to - last.to >= step);
    if gap > step || short {
        return Err(format!(
            "{} has no value for {} from {} on",
            query.expr,
            super::span(gap / 1000),
            super::moment(since / 1000)
        ));
    }
    let mut last: Option<f64> = None;
    let mut first = None;
    for run in &series.runs {
        let value =
            number(&run.value).map_err(|why| format!("{}: {why} at {}", query.expr, super::moment(run.from / 1000)))?;
        if let Some(before) = last.filter(|before| value < *before) {
            return Err(format!(
                "{} fell from {before} to {value} at {}: the counter was reset",
                query.expr,
                super::moment(run.from / 1000)
            ));
        }
        first = first.or(Some(value));
        last = Some(value);
    }
    match (first, last) {
        (Some(first), Some(last)) => Ok(Grown { by: last - first, first, last }),
        _ => Err(format!("Prometheus has no data for {}", query.expr)),
    }
}
