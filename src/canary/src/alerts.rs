//! Prometheus' alerting rules and what fires by them, as `/api/v1/rules` tells.

use std::collections::BTreeMap;

use serde::Serialize;

/// The label of rules whose alerts take a node down.
pub const DEMOTE: &str = "demote";
/// How the names of the shipped rules begin.
const OURS: &str = "PveNetwork";

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
    pub(crate) fn is(labels: &BTreeMap<String, String>, name: &str, value: &str) -> bool {
        labels.get(name).is_some_and(|found| found == value)
    }

    /// Somebody is to come at once.
    pub fn is_critical(&self) -> bool {
        Self::is(&self.labels, "severity", "critical")
    }

    /// Its alerts take a node down.
    pub fn demotes(&self) -> bool {
        self.is_critical() && Self::is(&self.labels, DEMOTE, "yes")
    }

    /// One of those that were shipped, or labelled for us.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(OURS) || self.labels.contains_key(DEMOTE)
    }
}
