//! The second canary, which goes only where the first has been.

use phase::Phase;

use super::{DAY, Row, each};
use crate::facts::Said;
use crate::gate::Judgement;
use crate::gate::tests::week::{NOW, clean, expect, grows, is, query, series};

#[test]
fn each_flawed_week_of_the_second_canary() {
    use Judgement::{Fail, Inconclusive};
    let rows: Vec<Row> = vec![
        (
            "B would draw level with A",
            |f| *is(&mut f.standing).nodes.get_mut("pve1").unwrap() = Phase::RustAdvanced,
            Fail,
            "order",
            "pve1 goes before and is at rust-advanced: pve2 may go to rust-advanced once pve1 is at rust-sdn",
        ),
        (
            "B ahead of A",
            |f| *is(&mut f.standing).nodes.get_mut("pve1").unwrap() = Phase::PerlOnly,
            Fail,
            "order",
            "is at perl-only",
        ),
        (
            "A's ceiling was lowered",
            |f| series(f, "phase of pve1").runs[0].value = "2".into(),
            Inconclusive,
            "order",
            "Prometheus sees its phase as 2",
        ),
        (
            "A is not heard of",
            |f| series(f, "phase of pve1").runs[0].to = (NOW - 3600) * 1000,
            Inconclusive,
            "order",
            "last heard of pve1 1 h ago",
        ),
        (
            "A is not scraped",
            |f| query(f, "phase of pve1").answer = Said::Is(Vec::new()),
            Inconclusive,
            "order",
            "has no data for pve_network_phase",
        ),
        ("A's phase is NaN", |f| series(f, "phase of pve1").runs[0].value = "NaN".into(), Inconclusive, "order", "NaN"),
        (
            "A is not in migration.toml",
            |f| is(&mut f.standing).nodes.retain(|name, _| name != "pve1"),
            Inconclusive,
            "order",
            "does not say where pve1 stands",
        ),
        ("B's own fallback", |f| grows(series(f, "fallbacks"), 1), Fail, "fallbacks", "counts 1 fallbacks"),
    ];
    each("pve2", rows);
    // Above the last phase there is none: A has to have been there for the whole time.
    let mut facts = clean("pve2", Phase::RustFull);
    series(&mut facts, "phase of pve1").runs[0].from = (NOW - 2 * DAY) * 1000;
    expect(
        &facts,
        "A has just come to rust-full",
        Inconclusive,
        "order",
        "has not been seen at rust-full for all of 7 d",
    );
    // A third node comes after both.
    let mut facts = clean("pve2", Phase::RustAdvanced);
    facts.node = "pve3".into();
    expect(&facts, "a node that is not in the order", Fail, "order", "pve2 goes before");
}
