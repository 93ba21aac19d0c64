//! Whether the witnesses agree, and what they say of the week.

use history::journal::{Backend, Outcome};

use super::{DAY, Row, fell_back, rust};
use crate::facts::Said;
use crate::gate::Judgement;
use crate::gate::tests::week::{NOW, backend, grows, is, series};

pub(super) fn rows() -> Vec<Row> {
    use Judgement::{Fail, Inconclusive};
    vec![
        // Do they say the same?
        (
            "the log has more than Prometheus saw",
            |f| is(&mut f.decisions).minutes[50].rust += 1,
            Inconclusive,
            "agreement",
            "the witnesses disagree on requests (rust)",
        ),
        (
            "Prometheus saw more applies than the journal has",
            |f| grows(backend(f, "applies", "legacy"), 1),
            Inconclusive,
            "agreement",
            "disagree on applies (legacy)",
        ),
        (
            "hardly any request",
            |f| {
                is(&mut f.decisions).minutes.iter_mut().for_each(|m| m.rust = 0);
                let series = backend(f, "requests", "rust");
                let to = series.runs.last().unwrap().to;
                series.runs.truncate(1);
                (series.runs[0].to, series.runs[0].widest) = (to, 300_000);
            },
            Inconclusive,
            "requests",
            "fewer than 100 say nothing",
        ),
        // How it went.
        (
            "a fallback, both saw it",
            |f| {
                fell_back(f);
                grows(series(f, "fallbacks"), 1);
            },
            Fail,
            "fallbacks",
            "1 requests fell back to Perl (GET /nodes/{node}/network at 2026-11-28T08:00:00Z: timeout)",
        ),
        ("a fallback that only the log has", fell_back, Fail, "fallbacks", "1 requests fell back"),
        (
            "a fallback that only Prometheus has",
            |f| grows(series(f, "fallbacks"), 2),
            Fail,
            "fallbacks",
            "Prometheus counts 2 fallbacks",
        ),
        (
            "a write of unknown outcome",
            |f| grows(series(f, "unknown"), 1),
            Fail,
            "failures",
            "1 writes whose outcome is unknown",
        ),
        ("the breaker opened", |f| grows(series(f, "opened"), 1), Fail, "failures", "the breaker took a phase away"),
        (
            "nobody answered",
            |f| {
                fell_back(f);
                let bad = is(&mut f.decisions).bad.last_mut().unwrap();
                (bad.fallback, bad.status) = (false, 503);
            },
            Fail,
            "failures",
            "had no answer, the first at 2026-11-28T08:00:00Z",
        ),
        (
            "nobody answered, by Prometheus",
            |f| grows(series(f, "unanswered"), 3),
            Fail,
            "failures",
            "3 requests that nobody answered",
        ),
        (
            "an apply failed",
            |f| rust(f)[12].outcome = Some(Outcome::Failed),
            Fail,
            "failures",
            "rust-12 by pvenet failed at",
        ),
        (
            "an apply was taken back",
            |f| rust(f)[12].outcome = Some(Outcome::RolledBack),
            Fail,
            "failures",
            "was taken back",
        ),
        (
            "Rust slower by half",
            |f| rust(f).into_iter().for_each(|o| o.ms = o.ms.map(|ms| ms * 3 / 2)),
            Fail,
            "latency",
            "Rust's applies are slower: 1.5",
        ),
        (
            "Rust slower by a quarter",
            |f| rust(f).into_iter().for_each(|o| o.ms = o.ms.map(|ms| ms * 122 / 100)),
            Inconclusive,
            "latency",
            "not ruled out that Rust's applies are slower",
        ),
        (
            "too few applies by Rust",
            |f| is(&mut f.journal).operations.truncate(12 + 19),
            Inconclusive,
            "latency",
            "19 applies by Rust are too few, 20 are needed",
        ),
        (
            "too few applies by Perl",
            |f| drop(is(&mut f.journal).operations.drain(..3)),
            Inconclusive,
            "latency",
            "9 applies by Perl within 90 d are no baseline",
        ),
        (
            "the baseline is a year old",
            |f| {
                is(&mut f.journal)
                    .operations
                    .iter_mut()
                    .filter(|o| o.backend == Backend::Legacy)
                    .for_each(|o| o.ended = Some(NOW - 365 * DAY))
            },
            Inconclusive,
            "latency",
            "0 applies by Perl",
        ),
        // The contract test.
        (
            "contract-test missing",
            |f| f.contract = Said::Missing("there is no report of contract-test".into()),
            Inconclusive,
            "contract",
            "no report",
        ),
        (
            "contract-test two days old",
            |f| is(&mut f.contract).started = NOW - 2 * DAY,
            Inconclusive,
            "contract",
            "is 2 d old, and may be 1 d",
        ),
        (
            "contract-test of another node",
            |f| is(&mut f.contract).node = "pve2".into(),
            Inconclusive,
            "contract",
            "is of node pve2",
        ),
        (
            "contract-test differing",
            |f| {
                let report = is(&mut f.contract);
                report.verdict = "differing".into();
                report.endpoints.insert("differing".into(), 2);
                report.lines.push("/nodes/pve1/network: type data.mtu".into());
            },
            Fail,
            "contract",
            "at 2 endpoints: /nodes/pve1/network: type data.mtu",
        ),
        (
            "contract-test inconclusive",
            |f| is(&mut f.contract).verdict = "inconclusive".into(),
            Inconclusive,
            "contract",
            "could not tell: inconclusive",
        ),
        (
            "contract-test compared nothing",
            |f| is(&mut f.contract).endpoints.clear(),
            Inconclusive,
            "contract",
            "its endpoints do not",
        ),
        (
            "contract-test of a later version",
            |f| is(&mut f.contract).schema_version = 2,
            Inconclusive,
            "contract",
            "version 2",
        ),
        (
            "contract-test from the future",
            |f| is(&mut f.contract).started = NOW + 3600,
            Inconclusive,
            "contract",
            "in the future",
        ),
    ]
}
