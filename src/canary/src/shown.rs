//! A verdict, for people.

use std::fmt::Write as _;

use cli::screen::Colours;

use crate::gate::{Judgement, Verdict, moment, span};

/// Text of others, as it may stand on a terminal: what would move the cursor or change colours is written out.
pub fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

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
pub(crate) fn deciding(verdict: &Verdict) -> String {
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
        let _ = writeln!(out, "  {}  {:10}  {}", paint(check.verdict, &word), check.name, plain(&check.reason));
        for input in check.inputs.iter().filter(|_| explain) {
            let limit = input.limit.as_ref().map_or_else(String::new, |limit| format!(" (wanted: {limit})"));
            let _ = writeln!(out, "                  {}: {}{limit}", plain(&input.name), plain(&input.value));
            let _ = writeln!(out, "                      {}", colours.cyan(&plain(&input.source)));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Said;
    use crate::gate::{self, tests::week};
    use phase::Phase;

    #[test]
    fn text_of_others_does_not_reach_the_terminal_as_it_is() {
        let mut facts = week::clean("pve1", Phase::RustAdvanced);
        facts.contract = Said::Missing("a\x1b[2Jb\nc".into());
        let shown = text(&gate::gate(&facts), true, Colours::of_stdout());
        assert!(shown.contains("a\\u{1b}[2Jb\\nc") && !shown.contains('\x1b'), "{shown}");
    }
}
