//! One page, with nothing from outside of it: no script, no font, no image. It is readable on paper and in the dark.

use std::fmt::Write as _;

use cli::markup::escaped;
use history::journal::Backend;
use phase::Phase;

use super::svg::Plot;
use super::{DAY, Report, Seen};
use crate::gate::{Judgement, moment, span};
use crate::latency::MARGIN;
use crate::shown;

const STYLE: &str = "
:root { color-scheme: light dark; --fg: #222; --bg: #fff; --dim: #888; --rust: #b7410e; --perl: #39457e; --bad: #c00; --good: #2a7; }
@media (prefers-color-scheme: dark) { :root { --fg: #ddd; --bg: #181818; --dim: #888; --rust: #e57b4a; --perl: #8fa0e8; --bad: #f66; --good: #4c9; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--fg); } svg text.in { fill: #fff; }
.grid { stroke: var(--dim); stroke-opacity: .3; } .axis { stroke: var(--dim); }
.rust { fill: var(--rust); } .perl { fill: var(--perl); } .bad { fill: var(--bad); } .good { fill: var(--good); } .dim { fill: var(--dim); }
b.rust { color: var(--rust); } b.perl { color: var(--perl); }
.pass { color: var(--good); } .fail { color: var(--bad); } .inconclusive { color: var(--perl); }
table { border-collapse: collapse; width: 100%; } td, th { overflow-wrap: anywhere; text-align: left; vertical-align: top; padding: .2em .8em .2em 0; border-bottom: 1px solid color-mix(in srgb, var(--dim) 30%, transparent); }
";

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>pve-network-rs on {0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>pve-network-rs on {0}</h1>\n<p>{1} to {2}</p>\n",
        escaped(&report.node),
        moment(report.from),
        moment(report.to)
    );
    outstanding(&mut out, report);
    applies(&mut out, report);
    requests(&mut out, report);
    phases(&mut out, report);
    coverage(&mut out, report);
    gate(&mut out, report);
    out.push_str("</body>\n</html>\n");
    out
}

fn outstanding(out: &mut String, report: &Report) {
    if let Some(verdict) = &report.gate {
        let _ =
            writeln!(out, "<p class=\"{}\"><b>{}</b></p>", verdict.verdict.as_str(), escaped(&shown::line(verdict)));
    }
    out.push_str("<h2>Outstanding</h2>\n<ul>\n");
    for line in &report.outstanding {
        let _ = writeln!(out, "<li>{}</li>", escaped(line));
    }
    if report.outstanding.is_empty() {
        out.push_str("<li>nothing</li>\n");
    }
    out.push_str("</ul>\n");
}

fn missing(out: &mut String, why: &str) {
    let _ = writeln!(out, "<p class=\"inconclusive\">not known: {}</p>", escaped(why));
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds and counts")]
fn applies(out: &mut String, report: &Report) {
    out.push_str("<h2>How long applies took: <b class=\"rust\">Rust</b>, <b class=\"perl\">Perl</b></h2>\n");
    let all = match report.applies.get() {
        Ok(all) => all,
        Err(why) => return missing(out, why),
    };
    let most = all.iter().map(|a| a.ms).max().unwrap_or(0).max(100) as f64 * 1.1;
    let mut plot = Plot::new(report.from, report.to, None);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        plot.line(share, &format!("{:.0} ms", most * share));
    }
    for apply in all {
        let (class, who) = if apply.backend == Backend::Rust { ("rust", "Rust") } else { ("perl", "Perl") };
        plot.point(
            apply.time,
            apply.ms as f64 / most,
            class,
            &format!("{who}, {} ms, {}", apply.ms, moment(apply.time)),
        );
    }
    out.push_str(&plot.end("Durations of applies over time"));
    let words = match &report.latency {
        Some(c) => format!(
            "Rust takes {:.2} of Perl's time, with 95 % confidence {:.2} to {:.2}; a gate asks for an upper bound below {MARGIN}. Perl's applies are those of 90 days.",
            c.estimate, c.lower, c.upper
        ),
        None => "Too few applies to compare them.".to_owned(),
    };
    let _ = writeln!(out, "<p>{} applies in this time. {words}</p>", all.len());
}

#[allow(clippy::cast_precision_loss, reason = "counts")]
fn requests(out: &mut String, report: &Report) {
    out.push_str("<h2>Requests by day: <b class=\"rust\">Rust</b>, <b class=\"perl\">Perl</b>, and fallbacks</h2>\n");
    let days = match report.days.get() {
        Ok(days) => days,
        Err(why) => return missing(out, why),
    };
    let most = days.iter().map(|d| d.rust + d.perl + d.none).max().unwrap_or(0).max(10) as f64 * 1.05;
    let mut plot = Plot::new(report.from, report.to, None);
    for share in [0.0, 0.5, 1.0] {
        plot.line(share, &format!("{:.0}", most * share));
    }
    for day in days {
        let span = (day.at + DAY / 10, day.at + DAY * 9 / 10);
        let title = format!(
            "{}: {} by Rust, {} by Perl, {} by nobody, {} fallbacks",
            &moment(day.at)[..10],
            day.rust,
            day.perl,
            day.none,
            day.fallbacks
        );
        let (rust, perl, none) = (day.rust as f64 / most, day.perl as f64 / most, day.none as f64 / most);
        plot.bar(span, (0.0, rust), "rust", &title);
        plot.bar(span, (rust, rust + perl), "perl", &title);
        plot.bar(span, (rust + perl, rust + perl + none), "bad", &title);
        if day.fallbacks > 0 {
            plot.point(i64::midpoint(span.0, span.1), 1.0, "bad", &title);
        }
    }
    out.push_str(&plot.end("Requests by day"));
    let sum: u64 = days.iter().map(|d| d.fallbacks).sum();
    let _ = writeln!(out, "<p>{sum} fallbacks by this node's log.</p>");
}

fn phases(out: &mut String, report: &Report) {
    out.push_str("<h2>Phases</h2>\n");
    let mut plot = Plot::new(report.from, report.to, Some(report.nodes.len()));
    for (row, seen) in report.nodes.iter().enumerate() {
        plot.name(row, &seen.node);
        match seen.phases.get() {
            Ok(stays) => {
                for stay in stays {
                    let class = match stay.phase {
                        Some(Phase::PerlOnly) => "perl",
                        Some(_) => "rust",
                        None => "bad",
                    };
                    let words = stay.phase.map_or_else(|| "not a phase".to_owned(), |p| p.to_string());
                    plot.band(row, (stay.from, stay.to), class, &words);
                }
            }
            Err(why) => plot.band(row, (report.from, report.to), "dim", why),
        }
    }
    out.push_str(&plot.end("Phases of each node over time"));
}

fn coverage(out: &mut String, report: &Report) {
    out.push_str("<h2>Seen by Prometheus</h2>\n");
    let mut plot = Plot::new(report.from, report.to, Some(report.nodes.len()));
    for (row, seen) in report.nodes.iter().enumerate() {
        plot.name(row, &seen.node);
        if seen.coverage.get().is_ok() {
            plot.band(row, (report.from, report.to), "good", "");
        }
        for (from, to) in &seen.gaps {
            plot.band(row, (*from, *to), "bad", &format!("not seen for {}", span(to - from)));
        }
    }
    out.push_str(&plot.end("Scrapes of each node over time"));
    out.push_str("<table>\n<tr><th>node</th><th>scrapes</th><th>fallbacks</th></tr>\n");
    for Seen { node, coverage, fallbacks, .. } in &report.nodes {
        let coverage = coverage.get().map_or_else(escaped, |share| format!("{:.2} %", share * 100.0));
        let fallbacks = fallbacks.get().map_or_else(escaped, ToString::to_string);
        let _ = writeln!(out, "<tr><td>{}</td><td>{coverage}</td><td>{fallbacks}</td></tr>", escaped(node));
    }
    out.push_str("</table>\n");
}

fn gate(out: &mut String, report: &Report) {
    let Some(verdict) = &report.gate else { return };
    let _ = writeln!(out, "<h2>The gate for {}</h2>\n<table>", verdict.wanted);
    for check in &verdict.checks {
        let word = check.verdict.as_str();
        let _ = writeln!(
            out,
            "<tr><td class=\"{word}\">{word}</td><td>{}</td><td>{}</td></tr>",
            escaped(&check.name),
            escaped(&check.reason)
        );
    }
    out.push_str("</table>\n");
    if verdict.verdict != Judgement::Pass {
        out.push_str("<p>What to do about each line: docs/canary.md.</p>\n");
    }
}
