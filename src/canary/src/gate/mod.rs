//! From facts to a verdict. Pure: the same facts give the same verdict, anywhere.
//!
//! ```text
//!   standing  step, order, history, overrides             may it be asked at all?
//!   witness   clock, journal, decisions, scrape,          can the witnesses be believed,
//!             restarts, phase, requests, agreement        and do they say the same?
//!   conduct   fallbacks, failures, latency, contract      was it good?
//! ```
//!
//! Each check ends in `pass`, `fail` or `inconclusive` with one line, and shows every value that it looked at with its
//! threshold and its source. A check that looked at nothing is inconclusive, and so is a verdict without checks: there
//! is no way from *nothing known* to *pass*.

pub(crate) mod ask;
pub(crate) mod limits;

mod conduct;
mod standing;
mod witness;

use host::Timestamp;
use phase::Phase;
use serde::{Deserialize, Serialize};

use crate::facts::{FORMAT, Facts};
pub use ask::{Question, SELECTOR, Window, questions};

/// Version of a verdict's form.
pub const SCHEMA_VERSION: u32 = 1;

/// How something ended; the worst decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// All that was asked for is shown.
    Pass,
    /// There is not enough evidence to say either.
    Inconclusive,
    /// Something speaks against it.
    Fail,
}

impl Judgement {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

/// A value that a check looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What it is.
    pub name: String,
    /// The value, with its unit.
    pub value: String,
    /// What it has to be, if that is fixed.
    pub limit: Option<String>,
    /// Where it is from: a file, or a query.
    pub source: String,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Short and stable: programs may rely on it.
    pub name: String,
    /// How it ended.
    pub verdict: Judgement,
    /// One line: why.
    pub reason: String,
    /// What it looked at.
    pub inputs: Vec<Input>,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The node.
    pub node: String,
    /// The phase that it is in, if that is known.
    pub from: Option<Phase>,
    /// The phase that it wants.
    pub wanted: Phase,
    /// When it was judged: seconds since the epoch.
    pub at: i64,
    /// The beginning of the time that was looked at; its end is when it was judged.
    pub since: i64,
    /// The verdict on all.
    pub verdict: Judgement,
    /// In a fixed order.
    pub checks: Vec<Check>,
    /// Operations of Rust's whose results have proven themselves, if it is a pass.
    pub proven: Vec<String>,
    /// SHA-256 of the `migration.toml` that was looked at.
    pub migration_sha256: Option<String>,
}

/// Judges.
pub fn gate(facts: &Facts) -> Verdict {
    let window = limits::window(facts.wanted, facts.now);
    let mut checks = Vec::new();
    if facts.format == FORMAT {
        checks.extend(standing::checks(facts));
        checks.extend(witness::checks(facts));
        checks.extend(conduct::checks(facts));
    } else {
        let format = facts.format;
        let mut check = Draft::new("format");
        check.saw("format of the facts", format, Some(format!("{FORMAT}")), "facts");
        check.open(format!("the facts are of format {format}, and this version knows format {FORMAT}"));
        checks.push(check.end("known"));
    }
    let verdict = checks.iter().map(|c| c.verdict).max().unwrap_or(Judgement::Inconclusive);
    let proven = if verdict == Judgement::Pass { conduct::proven(facts) } else { Vec::new() };
    let standing = facts.standing.get().ok();
    Verdict {
        schema_version: SCHEMA_VERSION,
        node: facts.node.clone(),
        from: standing.map(|s| s.phase),
        wanted: facts.wanted,
        at: facts.now,
        since: window.from,
        verdict,
        checks,
        proven,
        migration_sha256: standing.and_then(|s| s.sha256.clone()),
    }
}

/// Nodes that go before this one: in the order of the file; all of it for a node that is not named there.
pub fn ahead(order: &[String], node: &str) -> Vec<String> {
    order.iter().take_while(|name| *name != node).cloned().collect()
}

/// A check that is being made.
struct Draft {
    name: &'static str,
    inputs: Vec<Input>,
    found: Vec<(Judgement, String)>,
}

impl Draft {
    fn new(name: &'static str) -> Self {
        Self { name, inputs: Vec::new(), found: Vec::new() }
    }

    /// Shows a value that counts.
    fn saw(&mut self, name: impl Into<String>, value: impl ToString, limit: Option<String>, source: impl Into<String>) {
        self.inputs.push(Input { name: name.into(), value: value.to_string(), limit, source: source.into() });
    }

    /// Something speaks against it.
    fn fail(&mut self, why: impl Into<String>) {
        self.found.push((Judgement::Fail, why.into()));
    }

    /// Nobody can tell.
    fn open(&mut self, why: impl Into<String>) {
        self.found.push((Judgement::Inconclusive, why.into()));
    }

    /// What a source says; that it says nothing is noted.
    fn get<'a, T>(&mut self, said: &'a crate::facts::Said<T>) -> Option<&'a T> {
        match said.get() {
            Ok(it) => Some(it),
            Err(why) => {
                self.open(why);
                None
            }
        }
    }

    /// What could be had; that it could not is noted.
    fn take<T>(&mut self, had: Result<T, String>) -> Option<T> {
        had.map_err(|why| self.open(why)).ok()
    }

    /// Ends it; `clean` is said if nothing was found, and something was looked at.
    fn end(mut self, clean: impl Into<String>) -> Check {
        if self.inputs.is_empty() && self.found.is_empty() {
            self.open("nothing was looked at");
        }
        // The worst first; of equals, as they were found, each once.
        self.found.sort_by_key(|(judgement, _)| std::cmp::Reverse(*judgement));
        let verdict = self.found.first().map_or(Judgement::Pass, |(judgement, _)| *judgement);
        let reason = if self.found.is_empty() {
            clean.into()
        } else {
            let mut all: Vec<&str> = Vec::new();
            for (_, why) in &self.found {
                if !all.contains(&why.as_str()) {
                    all.push(why);
                }
            }
            all.join("; ")
        };
        Check { name: self.name.to_owned(), verdict, reason, inputs: self.inputs }
    }
}

/// A time as people read it.
pub(crate) fn moment(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).to_string()
}

/// A length of time as people read it: the two largest units.
pub(crate) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (d, h, m, s) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, _) if s == 0 => format!("{m} min"),
        (0, 0, _) => format!("{m} min {s} s"),
        (0, _, 0) => format!("{h} h"),
        (0, ..) => format!("{h} h {m} min"),
        (_, 0, _) => format!("{d} d"),
        _ => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
