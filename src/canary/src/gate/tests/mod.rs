//! Clean weeks pass, flawed ones do not, and from nothing known there is no way to a pass.

mod flawed;
mod missing;
pub(crate) mod week;

use super::*;
use week::{clean, judged};

#[test]
fn clean_weeks_pass_through_all_phases_for_both_canaries() {
    for node in ["pve1", "pve2"] {
        for wanted in Phase::ALL.into_iter().skip(1) {
            let verdict = judged(&clean(node, wanted));
            let lines: Vec<&Check> = verdict.checks.iter().filter(|c| c.verdict != Judgement::Pass).collect();
            assert_eq!(verdict.verdict, Judgement::Pass, "{node} to {wanted}: {lines:#?}");
            // Every check shows what it looked at, and says something.
            assert!(verdict.checks.iter().all(|c| !c.inputs.is_empty() && !c.reason.is_empty()), "{verdict:#?}");
            let count = if wanted == Phase::RustReadOnly { 5 } else { 16 };
            assert_eq!(verdict.checks.len(), count, "{wanted}");
        }
    }
}

#[test]
fn what_has_proven_itself_is_named_with_a_pass_only() {
    let facts = clean("pve1", Phase::RustAdvanced);
    assert_eq!(judged(&facts).proven.len(), 30);
    let mut facts = facts;
    week::is(&mut facts.contract).verdict = "differing".into();
    assert_eq!(judged(&facts).proven, Vec::<String>::new());
}

#[test]
fn facts_and_verdict_read_back_as_written() {
    let facts = clean("pve2", Phase::RustFull);
    let text = serde_json::to_string(&facts).unwrap();
    let back: Facts = serde_json::from_str(&text).unwrap();
    assert_eq!(back, facts);
    let verdict = judged(&facts);
    let text = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    assert_eq!(judged(&back), verdict);
}

#[test]
fn lengths_of_time() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86_400, "1 d"),
        (7 * 86_400 - 60, "6 d 23 h"),
        (-5, "0 s"),
    ] {
        assert_eq!(span(seconds), text);
    }
}
