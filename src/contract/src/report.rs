//! What came out, for people and for programs. Pure.

use std::fmt::Write as _;

use host::{Error, Result};
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::compare::Difference;

/// Version of the JSON report; it grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// The same, noise aside.
    Equal,
    /// Not the same.
    Differing,
    /// Nobody can say.
    Inconclusive,
    /// Rust says that this is Perl's to answer.
    LeftToPerl,
}

impl Judgement {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Differing => "differing",
            Self::Inconclusive => "inconclusive",
            Self::LeftToPerl => "left to Perl",
        }
    }
}

/// What came out for one endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// Path and query behind `/api2/json`; of a write its method, path and parameters.
    pub endpoint: String,
    /// How it ended.
    pub verdict: Judgement,
    /// Why nobody can say.
    pub why: Option<String>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// What differs and was suppressed as noise.
    pub suppressed: Vec<Difference>,
    /// What Proxmox wrongly lets through and Rust refuses on purpose; it does not count.
    pub stricter: Vec<Difference>,
    /// How long each answer of Perl's took, in milliseconds.
    pub perl_ms: Vec<f64>,
    /// How long each answer of Rust's took.
    pub rust_ms: Vec<f64>,
}

impl Endpoint {
    /// One of which nothing is known yet.
    pub(crate) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            verdict: Judgement::Inconclusive,
            why: None,
            differences: Vec::new(),
            suppressed: Vec::new(),
            stricter: Vec::new(),
            perl_ms: Vec::new(),
            rust_ms: Vec::new(),
        }
    }
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Everything that can be read.
    Reads,
    /// Writes, in scratch copies.
    Writes,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was asked for.
    pub asked: Asked,
    /// The node.
    pub node: String,
    /// Where Perl was asked: an address, or the program `pvesh`.
    pub perl_url: String,
    /// When it began, in seconds since the epoch.
    pub started: i64,
    /// The order of the questions follows from it.
    pub seed: u64,
    /// The verdict on all.
    pub verdict: Judgement,
    /// In the order of their names.
    pub endpoints: Vec<Endpoint>,
}

impl Report {
    /// The verdict on all: one that differs makes it differing, one that nobody can say inconclusive, and so does
    /// nothing compared.
    pub fn judge(endpoints: &[Endpoint]) -> Judgement {
        let any = |wanted| endpoints.iter().any(|e| e.verdict == wanted);
        if any(Judgement::Differing) {
            Judgement::Differing
        } else if any(Judgement::Inconclusive) || !any(Judgement::Equal) {
            Judgement::Inconclusive
        } else {
            Judgement::Equal
        }
    }

    /// How many ended so.
    pub fn count(&self, wanted: Judgement) -> usize {
        self.endpoints.iter().filter(|e| e.verdict == wanted).count()
    }

    /// One line.
    pub fn summary(&self) -> String {
        let count = |wanted: Judgement| format!("{} {}", self.count(wanted), wanted.name());
        let mut all = [Judgement::Equal, Judgement::Differing, Judgement::Inconclusive, Judgement::LeftToPerl]
            .map(count)
            .to_vec();
        let stricter = self.endpoints.iter().filter(|e| !e.stricter.is_empty()).count();
        if stricter > 0 {
            all[0] = format!("{}, {stricter} of them stricter on purpose", all[0]);
        }
        let (verdict, node) = (self.verdict.name(), &self.node);
        format!("{verdict}: {} of node {node} ({})", self.counted(), all.join(", "))
    }

    fn counted(&self) -> String {
        let one = if self.asked == Asked::Writes { "write" } else { "endpoint" };
        let s = if self.endpoints.len() == 1 { "" } else { "s" };
        format!("{} {one}{s}", self.endpoints.len())
    }

    /// For people: what differs, what was suppressed, how long it took.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for endpoint in &self.endpoints {
            let (perl, rust) = (median(&endpoint.perl_ms), median(&endpoint.rust_ms));
            let times = match (perl, rust) {
                (Some(perl), Some(rust)) => format!("  Perl {perl:.1} ms, Rust {rust:.1} ms"),
                _ => String::new(),
            };
            let _ = writeln!(out, "{:12}  {}{times}", endpoint.verdict.name(), endpoint.endpoint);
            if let Some(why) = &endpoint.why {
                let _ = writeln!(out, "              {why}");
            }
            let lists = [("", &endpoint.differences), ("", &endpoint.stricter), ("suppressed ", &endpoint.suppressed)];
            for (what, list) in lists {
                for d in list {
                    let (perl, rust) = (short(&d.perl), short(&d.rust));
                    let _ = writeln!(out, "              {what}{} {}: Perl {perl}, Rust {rust}", d.kind, d.field);
                }
            }
        }
        let _ = write!(out, "{}", self.summary());
        out
    }

    /// As JUnit reads it. What nobody can say is an error, not a pass.
    ///
    /// # Errors
    /// It can't be rendered.
    pub fn junit(&self) -> Result<String> {
        let mut suite = TestSuite::new(format!("contract-test {}", self.node));
        for endpoint in &self.endpoints {
            let mut status = match endpoint.verdict {
                Judgement::Equal => TestCaseStatus::success(),
                Judgement::LeftToPerl => TestCaseStatus::skipped(),
                Judgement::Differing => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Judgement::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
            };
            let lines = endpoint.why.iter().cloned();
            let lines = lines.chain(endpoint.differences.iter().map(|d| format!("{} {}", d.kind, d.field)));
            let lines: Vec<String> = lines.collect();
            if !lines.is_empty() {
                status.set_message(lines.join("\n"));
            }
            let mut case = TestCase::new(endpoint.endpoint.clone(), status);
            let stricter: Vec<String> =
                endpoint.stricter.iter().map(|d| format!("{} {}: {}", d.kind, d.field, short(&d.rust))).collect();
            if !stricter.is_empty() {
                case.set_system_out(stricter.join("\n"));
            }
            suite.add_test_case(case);
        }
        if self.endpoints.is_empty() {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("nothing was compared");
            suite.add_test_case(TestCase::new("endpoints", status));
        }
        let mut report = Junit::new("contract-test");
        report.add_test_suite(suite);
        report.to_string().map_err(|e| Error::new(format!("cannot write JUnit: {e}")))
    }
}

/// The middle one; of an even number the mean of the two.
pub(crate) fn median(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Enough of a value to know it by.
pub(crate) fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(verdict: Judgement) -> Endpoint {
        Endpoint { verdict, ..Endpoint::new("/x".into()) }
    }

    #[test]
    fn nothing_compared_is_no_pass() {
        use Judgement::{Differing, Equal, Inconclusive, LeftToPerl};
        let cases: [(&[Judgement], Judgement); 6] = [
            (&[], Inconclusive),
            (&[LeftToPerl, LeftToPerl], Inconclusive),
            (&[Equal, LeftToPerl], Equal),
            (&[Equal, Inconclusive], Inconclusive),
            (&[Inconclusive, Differing, Equal], Differing),
            (&[Equal], Equal),
        ];
        for (all, verdict) in cases {
            let all: Vec<Endpoint> = all.iter().copied().map(ended).collect();
            assert_eq!(Report::judge(&all), verdict);
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }
}
