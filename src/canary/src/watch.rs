//! `canary watch`: does a critical alert of this node fire, and is it one that takes the node a phase down?
//!
//! ```text
//!   Prometheus: rules with their alerts, up ─┐
//!   this node: phase, last change of it     ─┴─► judge (pure) ─► quiet, firing, unknown; and whether to go down
//! ```
//!
//! Which alerts take a node down is written in the rules, by the label `demote: "yes"` beside `severity: critical`. An
//! alert goes on firing for as long as its expression looks back, so one that was there when the phase last changed is
//! not heard again: it took the node down already, or an operator knew of it. Where rules are missing, not evaluated,
//! or about nothing, that is said: no alert is never taken for none that could fire.

use std::collections::BTreeMap;
use std::time::Duration;

use host::{Error, Kind, Result};
use phase::{Phase, Who, Wish};
use serde::Serialize;

use crate::facts::Said;
use crate::gate::moment;
use crate::read::{Node, Sources, standing};

/// The label of rules whose alerts take a node down.
const DEMOTE: &str = "demote";
/// A rule that was last evaluated longer ago, in milliseconds, says nothing; or three times its group's interval.
const STALE_MS: i64 = 2 * 60 * 1000;
/// How long it waits for whoever writes on this node. Going down must not wait for them.
const LOCK: Duration = Duration::from_secs(5);

/// What Prometheus says of its alerts.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where it is.
    pub url: String,
    /// Its clock: milliseconds since the epoch.
    pub now_ms: i64,
    /// How many series `up` has for this node.
    pub targets: usize,
    /// Its alerting rules.
    pub rules: Vec<Rule>,
}

/// One alerting rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The alert's name.
    pub name: String,
    /// The rule's own labels.
    pub labels: BTreeMap<String, String>,
    /// Why it can't be evaluated; empty if it can.
    pub trouble: String,
    /// When it was evaluated last, by Prometheus' clock: milliseconds since the epoch; none: never.
    pub evaluated_ms: Option<i64>,
    /// How often it is, in milliseconds.
    pub interval_ms: i64,
    /// What fires, or is about to.
    pub alerts: Vec<Alert>,
}

/// One alert.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its labels, those of the rule included.
    pub labels: BTreeMap<String, String>,
    /// What it means, and what to do.
    pub annotations: BTreeMap<String, String>,
    /// Whether it fires; else it is pending.
    pub firing: bool,
    /// Since when its expression is true, by Prometheus' clock: milliseconds since the epoch.
    pub active_ms: i64,
}

impl Rule {
    fn is(labels: &BTreeMap<String, String>, name: &str, value: &str) -> bool {
        labels.get(name).is_some_and(|found| found == value)
    }

    fn is_critical(&self) -> bool {
        Self::is(&self.labels, "severity", "critical")
    }

    fn demotes(&self) -> bool {
        self.is_critical() && Self::is(&self.labels, DEMOTE, "yes")
    }
}

/// Everything that is judged.
#[derive(Debug, Clone)]
pub struct Facts {
    /// This node.
    pub node: String,
    /// Its phase.
    pub phase: Phase,
    /// How long ago, in seconds by this node's clock, its phase was changed last; none: never.
    pub changed_s: Option<i64>,
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
    let ours = |labels: &BTreeMap<String, String>| labels.get("node").is_none_or(|name| name == node);
    let critical = || rules.rules.iter().filter(|rule| rule.is_critical());
    watched.alerts = critical().flat_map(|r| &r.alerts).filter(|a| a.firing && ours(&a.labels)).cloned().collect();
    let heard = |alert: &&Alert| {
        let age_s = (rules.now_ms - alert.active_ms) / 1000;
        facts.changed_s.is_none_or(|changed| age_s < changed)
    };
    let downs = critical().filter(|rule| rule.demotes()).flat_map(|rule| &rule.alerts);
    let down = downs.filter(|a| a.firing && Rule::is(&a.labels, "node", node)).find(heard);
    // An alert that fires is known whatever else is not.
    if let Some(first) = watched.alerts.first() {
        watched.verdict = Word::Firing;
        watched.reason = told(down.unwrap_or(first), watched.alerts.len());
        watched.demote_to = down.and_then(|_| Phase::ALL.into_iter().rev().find(|lower| lower < phase));
        return watched;
    }
    match silence(facts, rules) {
        Some(why) => watched.reason = why,
        None => {
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
    // A history that can't be read names no change: then each alert counts.
    let past = standing::past(&node.switch, &node.store, now).ok();
    let last = past.and_then(|past| past.steps.last().map(|step| now - step.time));
    Facts { phase: node.switch.effective().phase, changed_s: last, told, node: name }
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
    let mut out = format!("{word}: {}", watched.reason);
    for alert in &watched.alerts {
        let what = |name: &str| alert.annotations.get(name).map_or("", String::as_str);
        out += &format!("\n  {}  {}\n      {}", alert.name, what("summary"), what("runbook"));
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
            changed_s: Some(3600),
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
            ("known since before", vec![rule("Fallback", DOWN, &[("pve1", true, 3600)])], Word::Firing, None),
            (
                "an old one and a new one",
                vec![rule("Fallback", DOWN, &[("pve1", true, 4000)]), rule("Unknown", DOWN, &[("pve1", true, 30)])],
                Word::Firing,
                below,
            ),
            (
                "critical, and no reason to go down",
                [calm(), vec![rule("Down", CRITICAL, &[("pve1", true, 60)])]].concat(),
                Word::Firing,
                None,
            ),
            ("a warning", [calm(), vec![rule("Slow", WARNING, &[("pve1", true, 60)])]].concat(), Word::Quiet, None),
            ("of no node", [calm(), vec![rule("NoTarget", DOWN, &[("", true, 60)])]].concat(), Word::Firing, None),
        ] {
            let watched = judge(&facts(rules));
            assert_eq!((watched.verdict, watched.demote_to), (word, to), "{what}: {}", watched.reason);
        }
        let first = judge(&facts(vec![rule("Fallback", DOWN, &[("pve1", true, 60)])]));
        assert!(text(&first).contains("it is so") && text(&first).contains("do this"), "{}", text(&first));
        // Never changed: it counts. At the bottom there is nothing below.
        let fires = || vec![rule("Fallback", DOWN, &[("pve1", true, 9999)])];
        assert_eq!(judge(&Facts { changed_s: None, ..facts(fires()) }).demote_to, below);
        assert_eq!(judge(&Facts { changed_s: None, phase: Phase::PerlOnly, ..facts(fires()) }).demote_to, None);
        // A node whose clock is ahead of Prometheus' by an hour: ages are compared, and no times.
        assert_eq!(judge(&Facts { changed_s: Some(9998), ..facts(fires()) }).demote_to, None);
        assert_eq!(judge(&Facts { changed_s: Some(10_001), ..facts(fires()) }).demote_to, below);
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
