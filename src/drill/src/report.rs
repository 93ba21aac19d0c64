//! What was tried and what broke: for people, for programs, for CI.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use host::{Error, Result};
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::case::Case;
use crate::plan::Place;
use crate::run::{Verdict, Violation};

/// Counts of one flow.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Count {
    /// Scenarios: which scripts fail.
    pub scenarios: usize,
    /// Runs with a fault at a system call.
    pub faults: usize,
    /// Of these, the ones whose fault struck.
    pub fired: usize,
    /// Cases with a violation.
    pub broken: usize,
}

/// One violation of one case.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// What `--only` takes.
    pub case: String,
    /// When it was seen.
    pub when: String,
    /// What.
    pub what: String,
}

/// A drill.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this format.
    pub schema_version: u32,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The Debian release.
    pub suite: String,
    /// What the sample was drawn with.
    pub seed: u64,
    /// Points that there are: every fault at every changing call of every scenario.
    pub points: usize,
    /// The kinds of them: distinct (scenario, script call, call site, fault).
    pub distinct_points: usize,
    /// Distinct (script call, call site) that there are.
    pub call_sites: usize,
    /// Of these, the ones at which a fault struck.
    pub call_sites_fired: usize,
    /// Points that were to be tried, and for which there was no time.
    pub left: usize,
    /// Runs altogether.
    pub runs: usize,
    /// Distinct (scenario, script call, call site, fault) that were tried.
    pub distinct: usize,
    /// Runs whose fault struck.
    pub fired: usize,
    /// Seconds that it took.
    pub seconds: u64,
    /// By flow.
    pub flows: BTreeMap<&'static str, Count>,
    /// By fault: runs whose fault struck.
    pub faults: BTreeMap<String, usize>,
    /// What must not be.
    pub violations: Vec<Found>,
    #[serde(skip)]
    cases: Vec<(Case, Vec<Violation>)>,
    #[serde(skip)]
    sites: BTreeSet<(String, String, String, String)>,
    #[serde(skip)]
    fired_at: BTreeSet<(String, String)>,
}

impl Report {
    /// An empty one.
    pub fn new(package: &str, version: &str, suite: &str, seed: u64) -> Self {
        Self {
            schema_version: 1,
            package: package.to_owned(),
            version: version.to_owned(),
            suite: suite.to_owned(),
            seed,
            points: 0,
            distinct_points: 0,
            call_sites: 0,
            call_sites_fired: 0,
            left: 0,
            runs: 0,
            distinct: 0,
            fired: 0,
            seconds: 0,
            flows: BTreeMap::new(),
            faults: BTreeMap::new(),
            violations: Vec::new(),
            cases: Vec::new(),
            sites: BTreeSet::new(),
            fired_at: BTreeSet::new(),
        }
    }

    /// Takes in which points there are.
    pub fn found(&mut self, places: &[Place]) {
        let at = |place: &Place| Some((place.case.point.as_ref()?.label.clone(), place.site.clone()));
        let kind = |place: &Place| Some((place.case.scenario.clone(), at(place)?, place.case.point.as_ref()?.fault));
        self.points = places.len();
        self.distinct_points = places.iter().filter_map(kind).collect::<BTreeSet<_>>().len();
        self.call_sites = places.iter().filter_map(at).collect::<BTreeSet<_>>().len();
    }

    /// Takes a verdict in; a case that could not be run to its end is a violation.
    pub fn take(&mut self, case: &Case, site: &str, verdict: &Result<Verdict>) {
        let count = self.flows.entry(case.scenario.flow.name()).or_default();
        self.runs += 1;
        let violations = match verdict {
            Ok(verdict) => verdict.violations.clone(),
            Err(error) => vec![Violation { when: "in the run".into(), what: error.to_string() }],
        };
        match &case.point {
            None => count.scenarios += 1,
            Some(point) => {
                count.faults += 1;
                if verdict.as_ref().is_ok_and(|v| v.fired) {
                    count.fired += 1;
                    self.fired += 1;
                    *self.faults.entry(point.fault.to_string()).or_default() += 1;
                    self.sites.insert((
                        case.scenario.to_string(),
                        point.label.clone(),
                        site.to_owned(),
                        point.fault.to_string(),
                    ));
                    self.distinct = self.sites.len();
                    self.fired_at.insert((point.label.clone(), site.to_owned()));
                    self.call_sites_fired = self.fired_at.len();
                }
            }
        }
        count.broken += usize::from(!violations.is_empty());
        for violation in &violations {
            self.violations.push(Found {
                case: case.to_string(),
                when: violation.when.clone(),
                what: violation.what.clone(),
            });
        }
        self.cases.push((case.clone(), violations));
    }

    /// As JSON.
    pub fn json(&self) -> Result<String> {
        let text =
            serde_json::to_string_pretty(self).map_err(|e| Error::new(format!("cannot write the report: {e}")))?;
        Ok(text + "\n")
    }

    /// As a table, and each violation with its case.
    pub fn text(&self) -> String {
        let mut out = format!("{:<18} {:>10} {:>10} {:>10} {:>10}\n", "flow", "scenarios", "faults", "fired", "broken");
        for (flow, count) in &self.flows {
            // Writing to a string does not fail.
            let _ = writeln!(
                out,
                "{flow:<18} {:>10} {:>10} {:>10} {:>10}",
                count.scenarios, count.faults, count.fired, count.broken
            );
        }
        let _ = writeln!(
            out,
            "\n{} {} on {}: {} runs in {} s, {} of {} points; {} of {} distinct (scenario, script, call site, \
             fault); a fault struck at {} of {} call sites; seed {}",
            self.package,
            self.version,
            self.suite,
            self.runs,
            self.seconds,
            self.fired,
            self.points,
            self.distinct,
            self.distinct_points,
            self.call_sites_fired,
            self.call_sites,
            self.seed
        );
        if self.left > 0 {
            let _ = writeln!(out, "{} points were not tried: time was up", self.left);
        }
        let broken = self.cases.iter().filter(|(_, v)| !v.is_empty()).count();
        let _ = match broken {
            // Not "0 violations in 0 cases", which reads as if no case had been tried.
            0 => writeln!(out, "nothing broke"),
            _ => writeln!(out, "{} violations in {broken} cases", self.violations.len()),
        };
        for found in &self.violations {
            let _ = writeln!(out, "  {}: {}: {}", found.case, found.when, found.what);
        }
        out
    }

    /// As JUnit reads it: a suite for each flow.
    pub fn junit(&self) -> Result<String> {
        let mut report = Junit::new(format!("debseal-drill {}", self.package));
        let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
        for (case, violations) in &self.cases {
            let name = case.scenario.flow.name();
            let mut status = TestCaseStatus::success();
            if !violations.is_empty() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let lines: Vec<String> = violations.iter().map(|v| format!("{}: {}", v.when, v.what)).collect();
                status.set_message(lines.join("\n"));
            }
            suites
                .entry(name)
                .or_insert_with(|| TestSuite::new(name))
                .add_test_case(TestCase::new(case.to_string(), status));
        }
        report.add_test_suites(suites.into_values());
        report.to_string().map_err(|e| Error::new(format!("cannot write JUnit: {e}")))
    }
}
