//! No way leads from missing data to a pass: everything that facts hold is taken away, one thing after the other.

use phase::Phase;
use serde_json::Value;

use super::week::{clean, judged};
use crate::facts::Facts;
use crate::gate::Judgement;

/// Where taking something away rightly changes nothing, and why.
const SPARE: [(&str, &str); 8] = [
    ("/standing/is/nodes/pve1", "the node's own phase is what is in effect, not what is wanted"),
    ("/standing/is/nodes/pve2", "it comes after"),
    ("/standing/is/order/", "the first canary needs to be in it, or nobody before it"),
    ("/past/is/steps/0", "an earlier step"),
    ("/journal/is/operations/0", "one of twelve applies by Perl, ten of which are a baseline"),
    ("/journal/is/operations/6", "the same"),
    ("/contract/is/endpoints/left-to-perl", "Perl's by right"),
    ("/decisions/is/minutes/0", "before the time that is looked at"),
];

/// Every place below `value`: all of an object, and of a list the first, the middle and the last.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                places(value, &place, out);
                out.push(place);
            }
        }
        Value::Array(list) => {
            let mut some = vec![0, list.len() / 2, list.len().saturating_sub(1)];
            some.dedup();
            for index in some.into_iter().filter(|i| *i < list.len()) {
                let place = format!("{at}/{index}");
                places(&list[index], &place, out);
                out.push(place);
            }
        }
        _ => {}
    }
}

fn take_away(value: &mut Value, place: &str) {
    let (above, last) = place.rsplit_once('/').unwrap();
    match value.pointer_mut(above).unwrap() {
        Value::Object(map) => drop(map.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Value::Array(list) => drop(list.remove(last.parse().unwrap())),
        other => panic!("{place} is below {other}"),
    }
}

fn passes(value: Value) -> bool {
    // What can't be read is no pass.
    serde_json::from_value::<Facts>(value).is_ok_and(|facts| judged(&facts).verdict == Judgement::Pass)
}

#[test]
fn whatever_is_taken_away_there_is_no_pass() {
    let whole = serde_json::to_value(clean("pve1", Phase::RustAdvanced)).unwrap();
    assert!(passes(whole.clone()));
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    assert!(all.len() > 150, "{}", all.len());
    let mut passed = Vec::new();
    for place in &all {
        let mut less = whole.clone();
        take_away(&mut less, place);
        if passes(less) && !SPARE.iter().any(|(spare, _)| place.starts_with(spare)) {
            passed.push(place);
        }
    }
    assert!(passed.is_empty(), "a pass without {passed:#?}");
}

#[test]
fn whatever_is_null_empty_or_nonsense_there_is_no_pass() {
    let whole = serde_json::to_value(clean("pve2", Phase::RustSdn)).unwrap();
    let mut all = Vec::new();
    places(&whole, "", &mut all);
    for place in all.iter().filter(|p| p.matches('/').count() <= 3) {
        for with in [Value::Null, Value::Array(Vec::new()), Value::Object(Default::default()), "NaN".into()] {
            let mut less = whole.clone();
            let old = std::mem::replace(less.pointer_mut(place).unwrap(), with.clone());
            // A text for another text is shown as it is; what is judged of texts has rows of its own.
            let same = old == with || old.is_string() && with.is_string();
            let spare = same || SPARE.iter().any(|(spare, _)| place.starts_with(spare));
            assert!(spare || !passes(less), "a pass with {with} at {place}");
        }
    }
}

#[test]
fn nothing_known_is_nothing_passed() {
    use crate::facts::{FORMAT, Said};
    let no = || "nothing".to_owned();
    for wanted in Phase::ALL {
        let facts = Facts {
            format: FORMAT,
            now: super::week::NOW,
            node: "pve1".into(),
            wanted,
            standing: Said::Missing(no()),
            past: Said::Missing(no()),
            journal: Said::Missing(no()),
            decisions: Said::Missing(no()),
            contract: Said::Missing(no()),
            prometheus: Said::Missing(no()),
        };
        let verdict = judged(&facts);
        assert_eq!(verdict.verdict, Judgement::Inconclusive, "{wanted}");
        assert!(verdict.checks.iter().all(|c| c.verdict == Judgement::Inconclusive), "{wanted}: {verdict:#?}");
        assert!(verdict.proven.is_empty());
    }
}
