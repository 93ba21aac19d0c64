//! What a gate is decided on, as it was read. Everything that decides is in here, so that anyone can
//! judge again elsewhere; what could not be had says so in its own place, and has no default.

use std::collections::BTreeMap;

use history::journal::{Backend, Outcome};
use phase::Phase;
use serde::{Deserialize, Serialize};

/// Version of the format; it grows when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// What a source says, or why it says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said<T> {
    /// This.
    Is(T),
    /// Nothing; the reason, for a person.
    Missing(String),
}

impl<T> Said<T> {
    /// What it says.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn get(&self) -> Result<&T, &str> {
        match self {
            Said::Is(it) => Ok(it),
            Said::Missing(why) => Err(why),
        }
    }
}

impl<T> From<host::Result<T>> for Said<T> {
    fn from(read: host::Result<T>) -> Self {
        read.map_or_else(|error| Said::Missing(error.to_string()), Said::Is)
    }
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// [`FORMAT`].
    pub format: u32,
    /// When it was read, by the node's clock: seconds since the epoch.
    pub now: i64,
    /// The node that wants to go further.
    pub node: String,
    /// The phase that it wants.
    pub wanted: Phase,
    /// Where the nodes stand.
    pub standing: Said<Standing>,
    /// How this node came there.
    pub past: Said<Past>,
    /// The operation journal: the first witness.
    pub journal: Said<Journal>,
    /// The decision log: the first witness, too.
    pub decisions: Said<Decisions>,
    /// The latest report of contract-test.
    pub contract: Said<Contract>,
    /// The second witness.
    pub prometheus: Said<Prometheus>,
}

/// `migration.toml` and this node's ceiling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// This node's phase in effect.
    pub phase: Phase,
    /// What is wrong with the two files.
    pub problems: Vec<String>,
    /// `[canary] order`.
    pub order: Vec<String>,
    /// What the cluster's file wants of each node.
    pub nodes: BTreeMap<String, Phase>,
    /// SHA-256 of the cluster's file; none if there is none.
    pub sha256: Option<String>,
    /// `log_migration_decisions`.
    pub logs_decisions: bool,
}

/// This node's phase history and the gates that it passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Where its chain breaks, and how; empty if it is whole.
    pub broken: Vec<String>,
    /// Whether it says how the present ceiling came about.
    pub explains: bool,
    /// Changes that left no line.
    pub gaps: usize,
    /// Changes of this node's phase, oldest first.
    pub steps: Vec<Step>,
    /// What was let through against the rules, as far as it still matters.
    pub overrides: Vec<Override>,
}

/// A change of this node's phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Seconds since the epoch.
    pub time: i64,
    /// The phase before.
    pub from: Phase,
    /// The phase afterwards.
    pub to: Phase,
    /// How it ended; none if nobody wrote that down.
    pub outcome: Option<phase::Outcome>,
    /// Why.
    pub why: String,
}

/// Something that was let through against a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// `step`, a larger step than one; `gate`, a gate that did not pass.
    pub of: String,
    /// The phase that the node came to by it.
    pub to: Phase,
    /// By whom, if that is known.
    pub by: String,
    /// In the operator's words.
    pub reason: String,
    /// When it ends to justify the phase: seconds since the epoch.
    pub expires: i64,
}

/// The operation journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Lines of the time looked at that can't be read.
    pub damaged: usize,
    /// Where its times go back, as the clock did: seconds since the epoch.
    pub backwards: Vec<i64>,
    /// The newest time since they last went back.
    pub latest: Option<i64>,
    /// Operations, in their order, of as long as a baseline may be old, and unfinished ones of whatever age.
    pub operations: Vec<Operation>,
}

/// An operation of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// When it began: seconds since the epoch.
    pub began: i64,
    /// When it ended, if it did.
    pub ended: Option<i64>,
    /// Who wrote.
    pub backend: Backend,
    /// The program.
    pub tool: String,
    /// How long it took, in milliseconds.
    pub ms: Option<u64>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether `/etc/network/interfaces` is among what it wrote.
    pub interfaces: bool,
    /// How many files it wrote.
    pub files: usize,
}

impl Operation {
    /// Whether it made a configuration the running one, rather than noting a pending change: as the exporter tells it
    /// (`service`, `migration/journal.rs`).
    pub(crate) fn is_apply(&self) -> bool {
        self.interfaces || self.files == 0
    }

    /// Whether all it began is done, or taken back.
    pub fn is_finished(&self) -> bool {
        !matches!(self.outcome, None | Some(history::journal::Outcome::Failed))
    }

    /// How long it took, in milliseconds, if it is an apply that came to its end. One of 0 ms is a note beside another.
    pub fn applied(&self) -> Option<u64> {
        let done = self.outcome == Some(history::journal::Outcome::Done) && self.is_apply();
        self.ms.filter(|ms| done && *ms > 0)
    }
}

/// `migration.log` with those that were rotated away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decisions {
    /// Files, oldest first.
    pub files: Vec<LogFile>,
    /// Lines that can't be read, or are of another version.
    pub unreadable: u64,
    /// Where its times go back by more than a request takes: seconds since the epoch.
    pub backwards: Vec<i64>,
    /// The oldest line's time.
    pub first: Option<i64>,
    /// The newest time since they last went back.
    pub last: Option<i64>,
    /// Minutes (since the epoch) with requests of the network API, in order.
    pub minutes: Vec<Minute>,
    /// Requests that Perl answered because Rust failed, or nobody did: the first of the window, at most
    /// [`Decisions::KEPT`] of either kind.
    pub bad: Vec<Bad>,
}

impl Decisions {
    /// So many bad requests of a kind are kept one by one; [`Minute`] counts them all.
    pub const KEPT: usize = 200;
}

/// A file of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// How many lines it has.
    pub lines: u64,
    /// SHA-256 of what it holds, unpacked.
    pub sha256: String,
}

/// Requests that came within one minute, by who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Minutes since the epoch.
    pub at: i64,
    /// Rust.
    pub rust: u64,
    /// Perl.
    pub perl: u64,
    /// Nobody.
    pub none: u64,
    /// Those of Perl's that Rust should have answered.
    pub fallbacks: u64,
}

/// A request that Rust should have answered and did not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bad {
    /// Seconds since the epoch.
    pub time: i64,
    /// Its id.
    pub operation: String,
    /// Method and path.
    pub request: String,
    /// Whether Perl answered instead.
    pub fallback: bool,
    /// Why, in the log's words.
    pub reason: String,
    /// The status of the answer.
    pub status: u16,
}

/// A report of contract-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// The file.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its format.
    pub schema_version: u32,
    /// The node that was asked.
    pub node: String,
    /// When it began: seconds since the epoch.
    pub started: i64,
    /// Its verdict, in its own word.
    pub verdict: String,
    /// Endpoints by verdict.
    pub endpoints: BTreeMap<String, usize>,
    /// What differs or could not be asked, a line each, at most ten.
    pub lines: Vec<String>,
}

/// What Prometheus answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prometheus {
    /// Where it was asked, without user and password.
    pub url: String,
    /// The labels by which this node's series are told.
    pub selector: String,
    /// Its clock less this node's, in milliseconds.
    pub skew_ms: i64,
    /// How exactly that is known: the time a question takes, in milliseconds.
    pub within_ms: i64,
    /// The questions.
    pub queries: Vec<Query>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// What it is for: `up`, `requests`, …
    pub name: String,
    /// In PromQL.
    pub expr: String,
    /// Seconds between two values; 0 where the scrapes themselves were asked for.
    pub step: i64,
    /// From when, in seconds since the epoch.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// Each series.
    pub answer: Said<Vec<Series>>,
}

/// One series: values over time, runs of the same value drawn together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its labels, without its name.
    pub labels: BTreeMap<String, String>,
    /// The usual (median) distance between two values, in milliseconds; 0 for fewer than two.
    pub usual_ms: i64,
    /// In the order of time.
    pub runs: Vec<Run>,
}

/// Values that are the same, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The first one's time: milliseconds since the epoch.
    pub from: i64,
    /// The last one's.
    pub to: i64,
    /// How many.
    pub count: u64,
    /// The widest distance between two of them, in milliseconds.
    pub widest: i64,
    /// The value, as Prometheus writes it: a number, `NaN`, `+Inf`.
    pub value: String,
}

impl Series {
    /// Draws values together, in the order of time.
    pub fn of(labels: BTreeMap<String, String>, values: impl IntoIterator<Item = (i64, String)>) -> Self {
        let (mut runs, mut gaps): (Vec<Run>, Vec<i64>) = (Vec::new(), Vec::new());
        for (at, value) in values {
            if let Some(last) = runs.last() {
                gaps.push(at - last.to);
            }
            match runs.last_mut() {
                Some(run) if run.value == value => {
                    run.widest = run.widest.max(at - run.to);
                    run.to = at;
                    run.count += 1;
                }
                _ => runs.push(Run { from: at, to: at, count: 1, widest: 0, value }),
            }
        }
        let middle = gaps.len() / 2;
        let usual_ms = if gaps.is_empty() { 0 } else { *gaps.select_nth_unstable(middle).1 };
        Self { labels, usual_ms, runs }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
    }

    /// The widest distance between two values within, and from the ends to the first and last.
    pub fn widest(&self, from: i64, to: i64) -> (i64, i64) {
        let mut at = from;
        let mut worst = (0, from);
        for run in &self.runs {
            for (gap, since) in [(run.from - at, at), (run.widest, run.from)] {
                worst = worst.max((gap, since));
            }
            at = run.to;
        }
        worst.max((to - at, at))
    }
}
