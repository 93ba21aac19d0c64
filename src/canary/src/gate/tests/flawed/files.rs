//! The node's own files.

use super::{DAY, Row, rust};
use crate::facts::Said;
use crate::gate::Judgement;
use crate::gate::tests::week::{NOW, grows, is, series};

pub(super) fn rows() -> Vec<Row> {
    use Judgement::Inconclusive;
    vec![
        (
            "journal deleted",
            |f| f.journal = Said::Missing("there is no journal".into()),
            Inconclusive,
            "journal",
            "there is no journal",
        ),
        (
            "journal emptied",
            |f| is(&mut f.journal).operations.clear(),
            Inconclusive,
            "agreement",
            "the witnesses disagree on applies (rust)",
        ),
        (
            "a damaged line in the journal",
            |f| is(&mut f.journal).damaged = 1,
            Inconclusive,
            "journal",
            "1 lines of operations.jsonl can't be read",
        ),
        ("an apply under way", |f| rust(f)[29].outcome = None, Inconclusive, "journal", "rust-29 has no end"),
        (
            "log deleted",
            |f| f.decisions = Said::Missing("there is no migration.log".into()),
            Inconclusive,
            "decisions",
            "no migration.log",
        ),
        (
            "log deleted on the third day",
            |f| {
                let log = is(&mut f.decisions);
                log.minutes.retain(|m| m.at * 60 > NOW - 4 * DAY);
                log.first = log.minutes.first().map(|m| m.at * 60);
            },
            Inconclusive,
            "agreement",
            "the witnesses disagree on requests (rust)",
        ),
        (
            "log unreadable in part",
            |f| is(&mut f.decisions).unreadable = 3,
            Inconclusive,
            "decisions",
            "3 lines of migration.log",
        ),
        (
            "log switched off",
            |f| is(&mut f.standing).logs_decisions = false,
            Inconclusive,
            "decisions",
            "log_migration_decisions is off",
        ),
        (
            "log's disk was full",
            |f| grows(series(f, "dropped"), 7),
            Inconclusive,
            "decisions",
            "7 lines of migration.log could not be written",
        ),
    ]
}
