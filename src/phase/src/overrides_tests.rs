use crate::Phase::{self, PerlOnly, RustAdvanced, RustBasicWrite, RustFull, RustReadOnly, RustSdn};
use crate::record::{self, Event, Outcome, Override, Step, Who};

/// A change of node `a`: from, to, the hour at which its override expires, how it ended.
type Change = (Phase, Phase, Option<i64>, Option<Outcome>);

fn open(changes: &[Change], now: i64) -> Vec<String> {
    let mut all = Vec::new();
    for (number, (from, to, expires, outcome)) in changes.iter().enumerate() {
        let event = Event::Change {
            id: number.to_string(),
            node: "a".into(),
            by: Box::new(Who::default()),
            why: "why".into(),
            steps: vec![Step { node: "a".into(), from: *from, to: *to }],
            changes: vec![],
            overridden: expires.map(|expires| Override { reason: format!("r{number}"), expires }),
        };
        let line = record::append(&all, 0, event);
        all.extend(line);
        if let Some(outcome) = outcome {
            let line =
                record::append(&all, 0, Event::Outcome { id: number.to_string(), outcome: *outcome, error: None });
            all.extend(line);
        }
    }
    let word = |expired| if expired { "EXPIRED" } else { "holds" };
    let open = record::read(&all).open_overrides(now);
    open.iter().map(|o| format!("{} {}>{} {} {}", o.reason, o.from, o.to, word(o.expired), o.id)).collect()
}

#[test]
fn an_override_is_open_until_the_phase_it_let_through_is_gone_or_justified() {
    let done = Some(Outcome::Done);
    let jump = (PerlOnly, RustSdn, Some(2), done);
    for (what, changes, now, expected) in [
        ("one step needs none", vec![(PerlOnly, RustReadOnly, None, done)], 9, vec![]),
        ("it holds", vec![jump], 1, vec!["r0 perl-only>rust-sdn holds 0"]),
        ("until it expires", vec![jump], 2, vec!["r0 perl-only>rust-sdn EXPIRED 0"]),
        (
            "interrupted may mean done",
            vec![(PerlOnly, RustSdn, Some(2), None)],
            1,
            vec!["r0 perl-only>rust-sdn holds 0"],
        ),
        ("failed means not done", vec![(PerlOnly, RustSdn, Some(2), Some(Outcome::Failed))], 9, vec![]),
        ("lowered again", vec![jump, (RustSdn, PerlOnly, None, done)], 9, vec![]),
        ("lowered to where one step leads", vec![jump, (RustSdn, RustReadOnly, None, done)], 9, vec![]),
        (
            "lowered, but not enough",
            vec![jump, (RustSdn, RustAdvanced, None, done)],
            9,
            vec!["r0 perl-only>rust-advanced EXPIRED 0"],
        ),
        (
            "a step from there earns nothing",
            vec![jump, (RustSdn, RustFull, None, done)],
            1,
            vec!["r0 perl-only>rust-full holds 0"],
        ),
        ("renewed", vec![jump, (RustSdn, RustSdn, Some(5), done)], 3, vec!["r1 perl-only>rust-sdn holds 1"]),
        (
            "renewed and expired again",
            vec![jump, (RustSdn, RustSdn, Some(5), done)],
            5,
            vec!["r1 perl-only>rust-sdn EXPIRED 1"],
        ),
        (
            "down and up by single steps is earned",
            vec![jump, (RustSdn, RustReadOnly, None, done), (RustReadOnly, RustBasicWrite, None, done)],
            9,
            vec![],
        ),
    ] {
        assert_eq!(open(&changes, now), expected, "{what}");
    }
}
