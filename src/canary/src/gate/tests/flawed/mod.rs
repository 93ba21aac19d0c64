//! Weeks with a flaw each, and what a careful operator would say.

mod conduct;
mod files;
mod second;
mod standing;
mod witness;

use history::journal::Backend;
use phase::Phase;

use super::judged;
use super::week::{NOW, clean, expect, is};
use crate::facts::*;
use crate::gate::{Judgement, limits};

const DAY: i64 = limits::DAY;

/// A week's name, its flaw, and what the gate has to say: the verdict, by which check, and in which words.
type Row = (&'static str, fn(&mut Facts), Judgement, &'static str, &'static str);

/// Clean weeks of `node`, but for these flaws.
fn each(node: &str, rows: Vec<Row>) {
    for (name, change, verdict, check, words) in rows {
        let mut facts = clean(node, Phase::RustAdvanced);
        change(&mut facts);
        expect(&facts, name, verdict, check, words);
    }
}

fn fell_back(facts: &mut Facts) {
    is(&mut facts.decisions).bad.push(Bad {
        time: NOW - DAY,
        operation: "o".into(),
        request: "GET /nodes/{node}/network".into(),
        fallback: true,
        reason: "timeout".into(),
        status: 200,
    });
}

fn rust(facts: &mut Facts) -> Vec<&mut Operation> {
    is(&mut facts.journal).operations.iter_mut().filter(|o| o.backend == Backend::Rust).collect()
}

fn single(series: &mut Series) {
    series.usual_ms = 0;
    let run = &mut series.runs[0];
    (run.from, run.count, run.widest) = (run.to, 1, 0);
}

fn over(of: &str, expires: i64) -> Override {
    Override { of: of.into(), to: Phase::RustBasicWrite, by: "root".into(), reason: "a spare node".into(), expires }
}

#[test]
fn each_flawed_week_of_the_first_canary() {
    let rows = [standing::rows(), files::rows(), witness::rows(), conduct::rows()].concat();
    assert!(rows.len() >= 40);
    each("pve1", rows);
}

#[test]
fn an_override_that_holds_is_shown_and_does_not_block() {
    let mut facts = clean("pve1", Phase::RustAdvanced);
    is(&mut facts.past).overrides.push(over("gate", NOW + 3600));
    let verdict = judged(&facts);
    assert_eq!(verdict.verdict, Judgement::Pass);
    let check = verdict.checks.iter().find(|c| c.name == "overrides").unwrap();
    assert!(check.reason.contains("one, until 2026-11-29T09:00:00Z: a spare node"), "{check:?}");
    assert!(check.inputs.iter().any(|i| i.value == "a spare node (by root)"), "{check:?}");
}
