//! A verdict, for people.

use std::fmt::Write as _;

use cli::screen::Colours;

use crate::gate::{Judgement, Verdict, moment, span};

/// The verdict in one line.
pub fn line(verdict: &Verdict) -> String {
    let Verdict { node, wanted, .. } = verdict;
    let from = verdict.from.map_or_else(String::new, |from| format!(" from {from}"));
    match verdict.verdict {
        Judgement::Pass => format!("pass: node {node} may go{from} to {wanted}"),
        Judgement::Fail => format!("fail: node {node} may not go{from} to {wanted}"),
        Judgement::Inconclusive => {
            format!("inconclusive: there is not enough evidence that node {node} may go{from} to {wanted}")
        }
    }
}

/// The names of the checks that decided.
pub fn deciding(verdict: &Verdict) -> String {
    let names = verdict.checks.iter().filter(|c| c.verdict == verdict.verdict).map(|c| c.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// The verdict, and a line for each check; with `explain` every value, its threshold and its source.
pub fn text(verdict: &Verdict, explain: bool, colours: Colours) -> String {
    let paint = |judgement: Judgement, text: &str| match judgement {
        Judgement::Pass => colours.green(text),
        Judgement::Fail => colours.red(text),
        Judgement::Inconclusive => colours.magenta(text),
    };
    let mut out = String::new();
    let _ = writeln!(out, "{}", paint(verdict.verdict, &line(verdict)));
    if verdict.since < verdict.at {
        let _ = writeln!(
            out,
            "looked at: {} to {} ({})",
            moment(verdict.since),
            moment(verdict.at),
            span(verdict.at - verdict.since)
        );
    }
    for check in &verdict.checks {
        let word = format!("{:12}", check.verdict.as_str());
        let _ = writeln!(out, "  {}  {:10}  {}", paint(check.verdict, &word), check.name, check.reason);
        for input in check.inputs.iter().filter(|_| explain) {
            let limit = input.limit.as_ref().map_or_else(String::new, |limit| format!(" (wanted: {limit})"));
            let _ = writeln!(out, "                  {}: {}{limit}", input.name, input.value);
            let _ = writeln!(out, "                      {}", colours.cyan(&input.source));
        }
    }
    out.truncate(out.trim_end().len());
    out
}
