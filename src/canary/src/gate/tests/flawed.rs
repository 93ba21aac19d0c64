//! Weeks with a flaw each, and what a careful operator would say.

use history::journal::{Backend, Outcome};
use phase::Phase;

use super::week::{NOW, backend, clean, differs, expect, gap, grows, is, query, series};
use crate::facts::*;
use crate::gate::{Judgement, limits};

const DAY: i64 = limits::DAY;

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
    use Judgement::{Fail, Inconclusive};
    type Change = fn(&mut Facts);
    let rows: Vec<(&str, Change, Judgement, &str, &str)> = vec![
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
        // The node's own files.
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
    ];
    assert!(rows.len() >= 40);
    for (name, change, verdict, check, words) in rows {
        let mut facts = clean("pve1", Phase::RustAdvanced);
        change(&mut facts);
        expect(&facts, name, verdict, check, words);
    }
}

#[test]
fn each_flawed_week_of_the_second_canary() {
    use Judgement::{Fail, Inconclusive};
    type Change = fn(&mut Facts);
    let rows: Vec<(&str, Change, Judgement, &str, &str)> = vec![
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
    for (name, change, verdict, check, words) in rows {
        let mut facts = clean("pve2", Phase::RustAdvanced);
        change(&mut facts);
        expect(&facts, name, verdict, check, words);
    }
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

#[test]
fn an_override_that_holds_is_shown_and_does_not_block() {
    let mut facts = clean("pve1", Phase::RustAdvanced);
    is(&mut facts.past).overrides.push(over("gate", NOW + 3600));
    let verdict = super::judged(&facts);
    assert_eq!(verdict.verdict, Judgement::Pass);
    let check = verdict.checks.iter().find(|c| c.name == "overrides").unwrap();
    assert!(check.reason.contains("one, until 2026-11-29T09:00:00Z: a spare node"), "{check:?}");
    assert!(check.inputs.iter().any(|i| i.value == "a spare node (by root)"), "{check:?}");
}
