//! Where the node stands, and how it came there.

use phase::Phase;

use super::{DAY, Row, over};
use crate::facts::Said;
use crate::gate::Judgement;
use crate::gate::tests::week::{NOW, is};

pub(super) fn rows() -> Vec<Row> {
    use Judgement::{Fail, Inconclusive};
    vec![
        // Where it stands.
        ("two steps at once", |f| f.wanted = Phase::RustSdn, Fail, "step", "one step up at a time"),
        ("no step up", |f| f.wanted = Phase::RustBasicWrite, Fail, "step", "is at rust-basic-write already"),
        (
            "a broken migration.toml",
            |f| is(&mut f.standing).problems.push("migration.toml:3: unknown key".into()),
            Inconclusive,
            "step",
            "unknown key",
        ),
        ("no order", |f| is(&mut f.standing).order.clear(), Inconclusive, "order", "does not say who goes first"),
        (
            "/etc/pve not mounted",
            |f| f.standing = Said::Missing("/etc/pve is not mounted".into()),
            Inconclusive,
            "step",
            "not mounted",
        ),
        // How it came there.
        (
            "promoted six days ago",
            |f| is(&mut f.past).steps.last_mut().unwrap().time = NOW - 6 * DAY,
            Inconclusive,
            "history",
            "has been at rust-basic-write for 6 d, and 7 d are needed: ask again at 2026-11-30T08:00:00Z",
        ),
        (
            "history broken",
            |f| is(&mut f.past).broken.push("line 4: it does not follow the line before it".into()),
            Inconclusive,
            "history",
            "line 4",
        ),
        ("history's end is missing", |f| is(&mut f.past).explains = false, Inconclusive, "history", "does not say how"),
        (
            "history says another phase",
            |f| drop(is(&mut f.past).steps.pop()),
            Inconclusive,
            "history",
            "ends at rust-read-only, and the node is at rust-basic-write",
        ),
        ("ceiling changed by hand", |f| is(&mut f.past).gaps = 1, Inconclusive, "history", "left no line"),
        (
            "change interrupted",
            |f| is(&mut f.past).steps.last_mut().unwrap().outcome = None,
            Inconclusive,
            "history",
            "was interrupted",
        ),
        (
            "history from the future",
            |f| is(&mut f.past).steps.last_mut().unwrap().time = NOW + 60,
            Inconclusive,
            "history",
            "in the future",
        ),
        (
            "override of a step expired",
            |f| is(&mut f.past).overrides.push(over("step", NOW - 60)),
            Fail,
            "overrides",
            "expired at 2026-11-29T07:59:00Z (a spare node)",
        ),
        (
            "override of a gate expired this second",
            |f| is(&mut f.past).overrides.push(over("gate", NOW)),
            Fail,
            "overrides",
            "expired",
        ),
    ]
}
