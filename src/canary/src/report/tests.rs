use super::*;
use crate::gate::tests::week;

fn report(change: impl FnOnce(&mut Raw)) -> Report {
    let facts = week::clean("pve1", Phase::RustAdvanced);
    let window = Window { from: week::NOW - 7 * DAY, to: week::NOW };
    let mut raw = Raw {
        node: facts.node.clone(),
        window,
        standing: facts.standing.clone(),
        past: facts.past.clone(),
        journal: facts.journal.clone(),
        decisions: facts.decisions.clone(),
        prometheus: facts.prometheus.clone(),
        facts: Some(facts),
    };
    // What Prometheus answered to the gate serves here under the names of this report's questions.
    let questions = raw.questions(gate::SELECTOR);
    if let Said::Is(prometheus) = &mut raw.prometheus {
        let of = |name: &str| prometheus.queries.iter().find(|q| q.name == name).unwrap().clone();
        let (up, phase, fallbacks) = (of("up"), of("phase"), of("fallbacks"));
        prometheus.queries = questions
            .iter()
            .map(|q| {
                let like = if q.name.starts_with("up") {
                    &up
                } else if q.name.starts_with("phase") {
                    &phase
                } else {
                    &fallbacks
                };
                Query { name: q.name.clone(), expr: q.expr.clone(), step: like.step, ..like.clone() }
            })
            .collect();
    }
    change(&mut raw);
    raw.report()
}

#[test]
fn a_clean_week_in_three_forms() {
    let report = report(|_| ());
    assert_eq!(report.outstanding, Vec::<String>::new());
    let text = text(&report);
    for line in [
        "pass: node pve1 may go from rust-basic-write to rust-advanced",
        "applies: 30 by Rust, 0 by Perl",
        "0 fallbacks",
        "pve2: rust-basic-write, 100.00 % of the scrapes, 0 fallbacks",
        "- nothing",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = serde_json::to_string(&report).unwrap();
    // Fractions come back as near as JSON writes them.
    let back = |report: &Report| Report { latency: None, ..report.clone() };
    assert_eq!(back(&serde_json::from_str::<Report>(&json).unwrap()), back(&report));
    let page = page(&report);
    assert_eq!(page.matches("<svg").count(), 4, "applies, requests, phases, coverage");
    assert_eq!(page.matches("<circle class=\"rust\"").count(), 30);
    assert!(page.contains("Rust takes "), "{page}");
    outside(&page);
}

/// Nothing is fetched, run, or left open.
fn outside(page: &str) {
    for from in ["http:", "https:", "src=", "href=", "@import", "url(", "<script", "<link", "<img", "<iframe"] {
        assert!(!page.contains(from), "{from}");
    }
    for element in [
        "html", "head", "body", "h1", "h2", "p", "ul", "li", "table", "tr", "td", "th", "b", "svg", "text", "title",
        "circle", "rect",
    ] {
        let open = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        let closed = page.matches(&format!("</{element}>")).count();
        assert_eq!(open, closed, "{element}");
    }
}

#[test]
fn a_bad_week_says_so_and_names_stay_text() {
    let report = report(|raw| {
        raw.journal = Said::Missing("<b>no journal</b>".into());
        raw.facts.as_mut().unwrap().journal = raw.journal.clone();
        let past = week::is(&mut raw.past);
        past.overrides.push(crate::facts::Override {
            of: "gate".into(),
            to: Phase::RustBasicWrite,
            by: "root".into(),
            reason: "\"><script>alert(1)</script>".into(),
            expires: week::NOW - 1,
        });
        let log = week::is(&mut raw.decisions);
        // More than are kept one by one.
        log.minutes.iter_mut().rfind(|m| m.at * 60 < week::NOW - DAY).unwrap().fallbacks = 5000;
        let up = week::is(&mut raw.prometheus).queries.iter_mut().find(|q| q.name == "up pve2").unwrap();
        week::gap(&mut week::is(&mut up.answer)[0], 3600);
        let phase = week::is(&mut raw.prometheus).queries.iter_mut().find(|q| q.name == "phase pve2").unwrap();
        phase.answer = Said::Missing("query timed out".into());
    });
    assert!(
        report.outstanding.iter().any(|l| l.contains("override of a gate to rust-basic-write: EXPIRED")),
        "{report:?}"
    );
    assert!(report.outstanding.iter().any(|l| l.starts_with("gate, journal (inconclusive)")), "{report:?}");
    let seen = report.nodes.iter().find(|n| n.node == "pve2").unwrap();
    assert_eq!(seen.gaps.len(), 1, "{seen:?}");
    assert!((3500..3700).contains(&(seen.gaps[0].1 - seen.gaps[0].0)), "{seen:?}");
    let said = text(&report);
    assert!(
        said.contains("applies: not known") && said.contains("5000 fallbacks") && said.contains("query timed out"),
        "{said}"
    );
    let page = page(&report);
    outside(&page);
    assert!(page.contains("&lt;script&gt;") && page.contains("5000 fallbacks"), "{page}");
}

#[test]
fn nothing_known_is_a_report_too() {
    let no = || "nothing".to_owned();
    let report = report(|raw| {
        raw.facts = None;
        raw.journal = Said::Missing(no());
        raw.decisions = Said::Missing(no());
        raw.prometheus = Said::Missing(no());
        raw.standing = Said::Missing(no());
        raw.past = Said::Missing(no());
    });
    outside(&page(&report));
    assert!(text(&report).contains("requests: not known: nothing"));
    assert_eq!(report.nodes.len(), 1);
}
