//! Prometheus, clocks, and what was asked.

use history::journal::{Backend, Outcome};

use super::{DAY, Row, rust, single};
use crate::facts::Said;
use crate::gate::Judgement;
use crate::gate::tests::week::{NOW, backend, differs, gap, is, query, series};

pub(super) fn rows() -> Vec<Row> {
    use Judgement::Inconclusive;
    vec![
        // Prometheus.
        (
            "Prometheus down",
            |f| {
                f.prometheus =
                    Said::Missing("cannot reach Prometheus at http://192.0.2.5:9090: Connection refused".into())
            },
            Inconclusive,
            "scrape",
            "cannot reach Prometheus",
        ),
        (
            "no Prometheus named",
            |f| f.prometheus = Said::Missing("no Prometheus is named".into()),
            Inconclusive,
            "fallbacks",
            "no Prometheus is named",
        ),
        (
            "a query times out",
            |f| query(f, "fallbacks").answer = Said::Missing("query timed out".into()),
            Inconclusive,
            "fallbacks",
            "did not answer 'fallbacks': query timed out",
        ),
        (
            "node not in the scrape configuration",
            |f| is(&mut f.prometheus).queries.iter_mut().for_each(|q| q.answer = Said::Is(Vec::new())),
            Inconclusive,
            "scrape",
            "has no data for up{job=\"pve-network\",node=\"pve1\"}",
        ),
        (
            "the phase scraped once this week",
            |f| single(series(f, "phase")),
            Inconclusive,
            "phase",
            "1 values of pve_network_phase",
        ),
        (
            "whether the phase is known not scraped for most of a day",
            |f| gap(series(f, "known"), 20 * 3600),
            Inconclusive,
            "phase",
            "of the scrapes, and 99 % are needed (pve_network_phase_known",
        ),
        (
            "the start scraped once",
            |f| single(series(f, "start")),
            Inconclusive,
            "restarts",
            "1 values of process_start_time_seconds",
        ),
        (
            "a counter that begins a step late",
            |f| {
                let run = &mut series(f, "fallbacks").runs[0];
                run.from += 300_000;
                run.count -= 1;
            },
            Inconclusive,
            "fallbacks",
            "has no value for 5 min",
        ),
        (
            "an old write half done",
            |f| {
                let mut old = rust(f)[0].clone();
                old.began = NOW - 9 * DAY;
                old.ended = Some(NOW - 9 * DAY);
                old.outcome = Some(Outcome::Failed);
                // Nothing was applied since.
                is(&mut f.journal).operations.retain(|o| o.backend == Backend::Legacy);
                is(&mut f.journal).operations.push(old);
            },
            Inconclusive,
            "journal",
            "was not taken back; nothing was applied since",
        ),
        ("exporter down for an hour", |f| gap(series(f, "up"), 3600), Inconclusive, "scrape", "no scrape for 1 h"),
        (
            "exporter refused connections",
            |f| differs(series(f, "up"), "0"),
            Inconclusive,
            "scrape",
            "the target was down: 2 scrapes failed",
        ),
        (
            "many scrapes lost, one by one",
            |f| series(f, "up").runs[0].count -= 1000,
            Inconclusive,
            "scrape",
            "97.52 % of the scrapes",
        ),
        (
            "scraped each five minutes",
            |f| {
                let up = series(f, "up");
                (up.usual_ms, up.runs[0].widest, up.runs[0].count) = (300_000, 300_000, 2016);
            },
            Inconclusive,
            "scrape",
            "scrapes this node every 5 min only",
        ),
        (
            "Prometheus keeps three days",
            |f| series(f, "up").runs[0].from = (NOW - 3 * DAY) * 1000,
            Inconclusive,
            "scrape",
            "no scrape for 4 d",
        ),
        (
            "exporter gone since yesterday",
            |f| series(f, "up").runs[0].to = (NOW - DAY) * 1000,
            Inconclusive,
            "scrape",
            "no scrape for 1 d from",
        ),
        (
            "two targets of one name",
            |f| {
                let again = series(f, "up").clone();
                is(&mut query(f, "up").answer).push(again);
            },
            Inconclusive,
            "scrape",
            "more than one series",
        ),
        ("NaN in up", |f| differs(series(f, "up"), "NaN"), Inconclusive, "scrape", "up = NaN"),
        (
            "NaN in a counter",
            |f| series(f, "fallbacks").runs[0].value = "NaN".into(),
            Inconclusive,
            "fallbacks",
            "a value is NaN",
        ),
        (
            "infinite counter",
            |f| backend(f, "requests", "rust").runs[5].value = "+Inf".into(),
            Inconclusive,
            "agreement",
            "a value is +Inf",
        ),
        (
            "a counter with a hole",
            |f| drop(backend(f, "requests", "rust").runs.remove(20)),
            Inconclusive,
            "agreement",
            "has no value for 1 h 5 min",
        ),
        (
            "a counter was reset",
            |f| backend(f, "requests", "rust").runs.iter_mut().skip(80).for_each(|r| r.value = "5".into()),
            Inconclusive,
            "agreement",
            "the counter was reset",
        ),
        (
            "restarted on the fifth day",
            |f| differs(series(f, "start"), "1795800000"),
            Inconclusive,
            "restarts",
            "was restarted",
        ),
        (
            "start time is NaN",
            |f| series(f, "start").runs[0].value = "NaN".into(),
            Inconclusive,
            "restarts",
            "a value is NaN",
        ),
        (
            "the phase was lower for a moment",
            |f| differs(series(f, "phase"), "1"),
            Inconclusive,
            "phase",
            "pve_network_phase was 1 at",
        ),
        (
            "the middleware did not know its phase",
            |f| differs(series(f, "known"), "0"),
            Inconclusive,
            "phase",
            "did not know the phase in 2 scrapes",
        ),
        // Clocks.
        (
            "Prometheus' clock a minute ahead",
            |f| is(&mut f.prometheus).skew_ms = 60_000,
            Inconclusive,
            "clock",
            "differ by 60 s",
        ),
        (
            "the node's clock a minute ahead",
            |f| is(&mut f.prometheus).skew_ms = -60_000,
            Inconclusive,
            "clock",
            "differ by -60 s",
        ),
        (
            "an answer too slow to tell the time",
            |f| is(&mut f.prometheus).within_ms = 15_000,
            Inconclusive,
            "clock",
            "give or take 15000 ms",
        ),
        (
            "the clock was set back",
            |f| is(&mut f.journal).backwards.push(NOW - DAY),
            Inconclusive,
            "clock",
            "operations.jsonl go back at",
        ),
        (
            "the log's times go back",
            |f| is(&mut f.decisions).backwards.push(NOW - DAY),
            Inconclusive,
            "clock",
            "migration.log go back at",
        ),
        (
            "lines from the future",
            |f| is(&mut f.decisions).last = Some(NOW + 3600),
            Inconclusive,
            "clock",
            "a line from the future",
        ),
        (
            "scraped before it started",
            |f| series(f, "start").runs[0].value = (NOW - 6 * DAY).to_string(),
            Inconclusive,
            "clock",
            "before it started",
        ),
        // Answers to other questions.
        (
            "another question was asked",
            |f| query(f, "up").expr = "up".into(),
            Inconclusive,
            "scrape",
            "asked another question",
        ),
        (
            "a shorter time was asked for",
            |f| query(f, "fallbacks").from += 3600,
            Inconclusive,
            "fallbacks",
            "asked another question",
        ),
        ("facts of a later format", |f| f.format = 2, Inconclusive, "format", "format 2"),
    ]
}
