//! `canary watch`: does a critical alert of this node fire, and is it one that takes the node a phase down?
//!
//! ```text
//!   Prometheus: rules with their alerts, up ─┐
//!   this node: phase, last change of it     ─┴─► judge (pure) ─► quiet, firing, unknown; and whether to go down
//! ```
//!
//! Which alerts take a node down is written in the rules, by the label `demote: "yes"` beside `severity: critical`. An
//! alert goes on firing for as long as its expression looks back, and Prometheus forgets since when if it is started anew:
//! so after the phase was lowered, by whomever, nothing takes the node further down until what was in sight then is out of
//! sight. Where rules are missing, not evaluated, or about nothing, that is said: no alert is never taken for none that
//! could fire.

use std::time::{Duration, UNIX_EPOCH};

use host::{Error, Kind, Result};
use phase::{Outcome, Phase, Who, Wish};
use serde::Serialize;

use crate::alerts::{Alert, DEMOTE, Rule, Rules};
use crate::facts::Said;
use crate::gate::moment;
use crate::read::{Node, Sources};
use crate::shown::plain;

/// A rule that was last evaluated longer ago, in milliseconds, says nothing; or three times its group's interval.
const STALE_MS: i64 = 2 * 60 * 1000;
/// Shipped rules that take a node down look back 15 minutes. So much later, in seconds, what fires has happened since.
const SETTLED: i64 = 20 * 60;
/// A ceiling that was written later than the last change that the history tells, in seconds, was changed by something else.
const UNTOLD: i64 = 60;
/// How long it waits for whoever writes on this node. Going down must not wait for them.
const LOCK: Duration = Duration::from_secs(5);

/// The last change of this node's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// How long ago, in seconds by this node's clock; negative if that was set back since.
    pub ago: i64,
    /// Whether the node may do less since, or nobody can tell.
    pub lowered: bool,
}

impl Changed {
    /// Whether what fires, since `age` seconds by Prometheus' clock, has happened after the change.
    fn is_before(self, age: i64) -> bool {
        let settled = !(0..SETTLED).contains(&self.ago);
        settled || (!self.lowered && age <= self.ago)
    }
}

/// Everything that is judged.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This node.
    pub node: String,
    /// Its phase.
    pub phase: Phase,
    /// The last change of its phase; none: never.
    pub changed: Option<Changed>,
    /// What Prometheus says.
    pub told: Said<Rules>,
}

/// In a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Critical alerts could fire, and none does.
    Quiet,
    /// One does.
    Firing,
    /// Nobody can say.
    Unknown,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// Of this form.
    pub schema_version: u32,
    /// This node.
    pub node: String,
    /// Its phase when it was asked.
    pub phase: Phase,
    /// In a word.
    pub verdict: Word,
    /// In a line.
    pub reason: String,
    /// The critical alerts that fire, those of no node included.
    pub alerts: Vec<Alert>,
    /// The phase that it goes down to, if it is asked to.
    pub demote_to: Option<Phase>,
}

/// What is to be said and done.
pub fn judge(facts: &Facts) -> Watched {
    let Facts { node, phase, .. } = facts;
    let mut watched = Watched {
        schema_version: 1,
        node: node.clone(),
        phase: *phase,
        verdict: Word::Unknown,
        reason: String::new(),
        alerts: Vec::new(),
        demote_to: None,
    };
    let rules = match facts.told.get() {
        Ok(rules) => rules,
        Err(why) => {
            why.clone_into(&mut watched.reason);
            return watched;
        }
    };
    // A rule of others' that names no node is about something else; one that names this node may be about this.
    let ours = |rule: &Rule, alert: &Alert| match alert.labels.get("node") {
        Some(name) => name == node,
        None => rule.is_ours(),
    };
    let critical = || rules.rules.iter().filter(|rule| rule.is_critical());
    let firing = critical().flat_map(|rule| rule.alerts.iter().filter(move |a| a.firing && ours(rule, a)));
    watched.alerts = firing.cloned().collect();
    let downs = critical().filter(|rule| rule.demotes()).flat_map(|rule| &rule.alerts);
    let downs: Vec<&Alert> = downs.filter(|a| a.firing && Rule::is(&a.labels, "node", node)).collect();
    let heard = |alert: &Alert| {
        let age = (rules.now_ms - alert.active_ms) / 1000;
        facts.changed.is_none_or(|changed| changed.is_before(age))
    };
    // Of two nodes by one name nobody can tell which one it is.
    let one = rules.targets == 1;
    let down = downs.iter().copied().find(|alert| one && heard(alert));
    let named = down.or(downs.first().copied()).or(watched.alerts.first());
    let told = named.map(|alert| told(alert, watched.alerts.len()));
    match (told, silence(facts, rules)) {
        // What takes the node down is known whatever else is not.
        (Some(told), _) if one && !downs.is_empty() => {
            watched.verdict = Word::Firing;
            watched.demote_to = down.and_then(|_| Phase::ALL.into_iter().rev().find(|lower| lower < phase));
            watched.reason = told;
        }
        (told, Some(why)) => watched.reason = told.map_or(why.clone(), |told| format!("{why}; {told}")),
        (Some(told), None) => {
            watched.verdict = Word::Firing;
            watched.reason = told;
        }
        (None, None) => {
            watched.verdict = Word::Quiet;
            watched.reason = format!("none of {} critical rules fires for node {node}", critical().count());
        }
    }
    watched
}

/// Why no alert does not mean that there is no reason for one.
fn silence(facts: &Facts, rules: &Rules) -> Option<String> {
    let Facts { node, .. } = facts;
    let Rules { url, targets, .. } = rules;
    if *targets == 0 {
        return Some(format!("Prometheus at {url} does not scrape node {node}, so nothing can fire for it"));
    }
    if *targets > 1 {
        return Some(format!(
            "Prometheus at {url} scrapes {targets} targets by the name of node {node}: --selector tells them apart"
        ));
    }
    if !rules.rules.iter().any(Rule::demotes) {
        return Some(format!(
            "Prometheus at {url} has no rule with severity=\"critical\" and {DEMOTE}=\"yes\": are \
             /usr/share/pve-network-rs/prometheus/rules.yml its rules?"
        ));
    }
    rules.rules.iter().filter(|rule| rule.is_critical()).find_map(|rule| {
        if !rule.trouble.is_empty() {
            return Some(format!("rule {} can't be evaluated: {}", rule.name, rule.trouble));
        }
        let limit = STALE_MS.max(3 * rule.interval_ms);
        match rule.evaluated_ms {
            Some(at) if rules.now_ms - at <= limit => None,
            Some(at) => Some(format!("rule {} was last evaluated at {}", rule.name, moment(at / 1000))),
            None => Some(format!("rule {} was not evaluated yet", rule.name)),
        }
    })
}

fn told(alert: &Alert, number: usize) -> String {
    let summary = alert.annotations.get("summary").map_or_else(String::new, |text| format!(": {text}"));
    let more = if number > 1 { format!(" (and {} more)", number - 1) } else { String::new() };
    format!("{} fires since {}{summary}{more}", alert.name, moment(alert.active_ms / 1000))
}

/// Reads what is judged.
pub fn facts(node: &Node, selector: &str, sources: &Sources) -> Facts {
    let now = node.store.clock.now().seconds();
    let name = node.switch.node.clone();
    let told = match &sources.server {
        None => Said::Missing(
            "no Prometheus is named: [canary] prometheus = \"http://…:9090\" in migration.toml, or --prometheus".into(),
        ),
        Some(server) => server.rules(&format!("up{{{}}}", selector.replace("{node}", &name))).into(),
    };
    Facts { phase: node.switch.effective().phase, changed: changed(node, now), told, node: name }
}

/// By the history; and by the ceiling's own time where that tells more, as where a full disk keeps the history from being
/// written, or something keeps it from being read.
fn changed(node: &Node, now: i64) -> Option<Changed> {
    let phase = node.switch.effective().phase;
    let history = node.switch.history(node.store.clock).read().ok();
    let told = history.and_then(|history| {
        let changes = history.changes();
        let mut steps = changes.iter().flat_map(|change| change.steps.iter().map(move |step| (change, step)));
        let (change, step) = steps.rfind(|(change, step)| {
            let done = match change.outcome {
                Some(Outcome::Done | Outcome::CeilingOnly | Outcome::ClusterOnly) => true,
                Some(Outcome::Failed) => false,
                Some(Outcome::Unknown) | None => step.to == phase,
            };
            step.node == node.switch.node && step.from != step.to && done
        })?;
        Some((change.time, Changed { ago: now - change.time, lowered: step.to < step.from }))
    });
    let file = node.switch.root.path(&node.switch.ceiling);
    let written = std::fs::metadata(file).and_then(|m| m.modified()).ok();
    let written = written.and_then(|at| i64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
    match (told, written) {
        (Some((time, changed)), Some(written)) if written <= time + UNTOLD => Some(changed),
        (_, Some(written)) => Some(Changed { ago: now - written, lowered: true }),
        (told, None) => told.map(|(_, changed)| changed),
    }
}

/// Takes the node down: its own ceiling at once, and its line in migration.toml where the cluster can be written.
/// Returns what could not be done beside it.
///
/// # Errors
/// The ceiling can't be written.
pub fn demote(node: &Node, to: Phase, why: &str) -> Result<Vec<String>> {
    let mut beside = Vec::new();
    let _lock = node.store.lock(LOCK).map_err(|e| beside.push(format!("{e}; the phase is lowered all the same"))).ok();
    let wish = Wish::Lower { to };
    let done = node.switch.change(wish, None, Who::here("canary watch"), why, node.store.clock)?;
    beside.extend(done.unrecorded.iter().map(ToString::to_string));
    beside.extend(done.cluster.iter().map(|e| format!("{e}; this node's own ceiling holds meanwhile")));
    Ok(beside)
}

/// For people: a line, and what to do about each alert.
pub fn text(watched: &Watched) -> String {
    let word = match watched.verdict {
        Word::Quiet => "quiet",
        Word::Firing => "firing",
        Word::Unknown => "unknown",
    };
    let mut out = format!("{word}: {}", plain(&watched.reason));
    for alert in &watched.alerts {
        let what = |name: &str| plain(alert.annotations.get(name).map_or("", String::as_str));
        out += &format!("\n  {}  {}\n      {}", plain(&alert.name), what("summary"), what("runbook"));
    }
    out
}

/// How the program ends.
///
/// # Errors
/// Something fires, or nobody can say.
pub fn ended(watched: &Watched) -> Result<()> {
    match watched.verdict {
        Word::Quiet => Ok(()),
        Word::Firing => Err(Error::of(Kind::Refused, watched.reason.clone())),
        Word::Unknown => Err(Error::of(Kind::Inconclusive, watched.reason.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    const NOW: i64 = 1_800_000_000_000;

    fn labels(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn rule(name: &str, own: &[(&str, &str)], alerts: &[(&str, bool, i64)]) -> Rule {
        let alert = |(node, firing, age_s): &(&str, bool, i64)| {
            let mut all = labels(own);
            if !node.is_empty() {
                all.insert("node".into(), (*node).to_owned());
            }
            Alert {
                name: name.to_owned(),
                labels: all,
                annotations: labels(&[("summary", "it is so"), ("runbook", "do this")]),
                firing: *firing,
                active_ms: NOW - age_s * 1000,
            }
        };
        Rule {
            name: name.to_owned(),
            labels: labels(own),
            trouble: String::new(),
            evaluated_ms: Some(NOW - 15_000),
            interval_ms: 60_000,
            alerts: alerts.iter().map(alert).collect(),
        }
    }

    const DOWN: &[(&str, &str)] = &[("severity", "critical"), ("demote", "yes")];
    const CRITICAL: &[(&str, &str)] = &[("severity", "critical")];
    const WARNING: &[(&str, &str)] = &[("severity", "warning"), ("demote", "yes")];

    fn facts(rules: Vec<Rule>) -> Facts {
        Facts {
            node: "pve1".into(),
            phase: Phase::RustAdvanced,
            changed: Some(Changed { ago: 3600, lowered: false }),
            told: Said::Is(Rules { url: "http://p".into(), now_ms: NOW, targets: 1, rules }),
        }
    }

    fn calm() -> Vec<Rule> {
        vec![rule("Fallback", DOWN, &[]), rule("Down", CRITICAL, &[])]
    }

    #[test]
    fn what_fires_takes_this_node_down_once() {
        let below = Some(Phase::RustBasicWrite);
        for (what, rules, word, to) in [
            ("calm", calm(), Word::Quiet, None),
            ("it fires", vec![rule("Fallback", DOWN, &[("pve1", true, 60)])], Word::Firing, below),
            ("pending", vec![rule("Fallback", DOWN, &[("pve1", false, 60)])], Word::Quiet, None),
            ("of another node", vec![rule("Fallback", DOWN, &[("pve2", true, 60)])], Word::Quiet, None),
            (
                "critical, and no reason to go down",
                [calm(), vec![rule("Down", CRITICAL, &[("pve1", true, 60)])]].concat(),
                Word::Firing,
                None,
            ),
            ("a warning", [calm(), vec![rule("Slow", WARNING, &[("pve1", true, 60)])]].concat(), Word::Quiet, None),
            (
                "of no node",
                [calm(), vec![rule("PveNetworkNoTarget", CRITICAL, &[("", true, 60)])]].concat(),
                Word::Firing,
                None,
            ),
            (
                "of no node, and labelled",
                [calm(), vec![rule("NoTarget", DOWN, &[("", true, 60)])]].concat(),
                Word::Firing,
                None,
            ),
            (
                "of no node, and not ours",
                [calm(), vec![rule("DiskFull", CRITICAL, &[("", true, 60)])]].concat(),
                Word::Quiet,
                None,
            ),
        ] {
            let watched = judge(&facts(rules));
            assert_eq!((watched.verdict, watched.demote_to), (word, to), "{what}: {}", watched.reason);
        }
        let first = judge(&facts(vec![rule("Fallback", DOWN, &[("pve1", true, 60)])]));
        assert!(text(&first).contains("it is so") && text(&first).contains("do this"), "{}", text(&first));
        // At the bottom there is nothing below.
        let fires = vec![rule("Fallback", DOWN, &[("pve1", true, 9999)])];
        assert_eq!(judge(&Facts { phase: Phase::PerlOnly, ..facts(fires) }).demote_to, None);
    }

    /// Ages are compared, Prometheus' and the node's, and no times: their clocks may differ.
    #[test]
    fn an_alert_is_heard_once() {
        let lowered = |ago| Some(Changed { ago, lowered: true });
        let raised = |ago| Some(Changed { ago, lowered: false });
        for (what, changed, age, heard) in [
            ("never changed", None, 9999, true),
            ("lowered a moment ago for it", lowered(30), 60, false),
            (
                "begun after that: a scrape comes later than the breaker, and a new Prometheus forgets",
                lowered(30),
                5,
                false,
            ),
            ("the last moment", lowered(SETTLED - 1), 5, false),
            ("what was in sight then is out of sight: it happened since", lowered(SETTLED), 5, true),
            ("and goes on", lowered(SETTLED), 2 * SETTLED, true),
            ("there when an operator raised it", raised(600), 601, false),
            ("begun in that second", raised(600), 600, true),
            ("begun since", raised(600), 30, true),
            ("raised long ago", raised(9000), 9999, true),
            ("a change from the future: the clock was set back", lowered(-5), 60, true),
        ] {
            let facts = Facts { changed, ..facts(vec![rule("Fallback", DOWN, &[("pve1", true, age)])]) };
            let watched = judge(&facts);
            assert_eq!((watched.verdict, watched.demote_to.is_some()), (Word::Firing, heard), "{what}");
        }
        // An old one does not hide a new one.
        let two = vec![rule("Fallback", DOWN, &[("pve1", true, 700)]), rule("Unknown", DOWN, &[("pve1", true, 30)])];
        let watched = judge(&Facts { changed: raised(600), ..facts(two) });
        assert_eq!(watched.demote_to, Some(Phase::RustBasicWrite));
        assert!(watched.reason.starts_with("Unknown fires"), "{}", watched.reason);
    }

    #[test]
    fn no_alert_is_not_taken_for_none_that_could_fire() {
        let with = |change: fn(&mut Rules)| {
            let mut facts = facts(calm());
            if let Said::Is(rules) = &mut facts.told {
                change(rules);
            }
            judge(&facts)
        };
        for (why, watched) in [
            ("does not scrape node pve1", with(|r| r.targets = 0)),
            ("scrapes 2 targets by the name of node pve1", with(|r| r.targets = 2)),
            (
                "scrapes 2 targets by the name of node pve1: --selector tells them apart; Fallback fires",
                with(|r| {
                    r.targets = 2;
                    r.rules[0] = rule("Fallback", DOWN, &[("pve1", true, 60)]);
                }),
            ),
            ("has no rule with severity", with(|r| r.rules = vec![rule("DiskFull", CRITICAL, &[("", true, 60)])])),
            (
                "can't be evaluated: x; Down fires",
                with(|r| {
                    r.rules[0].trouble = "x".into();
                    r.rules[1] = rule("Down", CRITICAL, &[("pve1", true, 60)]);
                }),
            ),
            ("has no rule with", with(|r| r.rules.clear())),
            ("has no rule with", with(|r| drop(r.rules.remove(0)))),
            ("can't be evaluated: many-to-many", with(|r| r.rules[1].trouble = "many-to-many".into())),
            ("was last evaluated at", with(|r| r.rules[0].evaluated_ms = Some(NOW - 181_000))),
            ("was not evaluated yet", with(|r| r.rules[1].evaluated_ms = None)),
            ("it is down", judge(&Facts { told: Said::Missing("it is down".into()), ..facts(calm()) })),
        ] {
            assert_eq!((watched.verdict, watched.demote_to), (Word::Unknown, None), "{why}");
            assert!(watched.reason.contains(why), "{why}: {}", watched.reason);
            assert!(ended(&watched).is_err_and(|e| e.kind() == Kind::Inconclusive));
        }
        assert_eq!(with(|r| r.rules[0].evaluated_ms = Some(NOW - 179_000)).verdict, Word::Quiet);
        // What fires is known although another rule is broken.
        let mut fires = facts(vec![rule("Fallback", DOWN, &[("pve1", true, 60)]), rule("Down", CRITICAL, &[])]);
        if let Said::Is(rules) = &mut fires.told {
            rules.rules[1].trouble = "x".into();
        }
        assert_eq!(judge(&fires).verdict, Word::Firing);
    }
}
