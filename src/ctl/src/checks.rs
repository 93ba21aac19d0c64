//! What `health` and `preflight` find, and the forms in which it is shown.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use ::cli::screen::{Colours, wrap};

/// How a check came out; the worst decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// Nobody can tell.
    Unknown,
    /// Someone should look at it in daylight.
    Warning,
    /// Someone has to mend it.
    Critical,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Unknown => "unknown",
            State::Warning => "warning",
            State::Critical => "CRITICAL",
        }
    }

    /// As Nagios plugins exit (Monitoring Plugins Development Guidelines).
    pub(crate) const fn nagios(self) -> u8 {
        match self {
            State::Ok => 0,
            State::Warning => 1,
            State::Critical => 2,
            State::Unknown => 3,
        }
    }

    fn paint(self, text: &str, colours: Colours) -> String {
        match self {
            State::Ok => colours.green(text),
            State::Unknown => colours.magenta(text),
            State::Warning => colours.yellow(text),
            State::Critical => colours.alarm(text),
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// Short and stable: programs may rely on it.
    pub(crate) name: &'static str,
    pub(crate) state: State,
    /// One line.
    pub(crate) line: String,
    /// The command that mends it.
    pub(crate) mend: Option<String>,
}

impl Check {
    pub(crate) fn new(name: &'static str, state: State, line: impl Into<String>) -> Self {
        Self { name, state, line: line.into(), mend: None }
    }

    pub(crate) fn ok(name: &'static str, line: impl Into<String>) -> Self {
        Self::new(name, State::Ok, line)
    }

    pub(crate) fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }
}

/// A figure for a Nagios graph, with its unit of measurement (`s`, `KB`, or none).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) unit: &'static str,
}

/// All checks of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) node: String,
    pub(crate) checks: Vec<Check>,
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// The worst state.
    pub(crate) fn state(&self) -> State {
        self.checks.iter().map(|c| c.state).max().unwrap_or(State::Unknown)
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "schema_version": 1, "node": self.node, "state": self.state(), "checks": self.checks,
            "figures": self.figures,
        })
    }

    /// For people: a table that fits 80 columns, worst last, where the eye rests. Commands stand on lines of their own,
    /// unbroken, to be copied.
    pub(crate) fn text(&self, colours: Colours) -> String {
        let mut out = String::new();
        let mut checks: Vec<&Check> = self.checks.iter().collect();
        checks.sort_by_key(|c| c.state); // stable: order within a state is the order of checking
        for check in checks {
            let word = check.state.paint(&format!("{:<9}", check.state.word()), colours);
            for (number, line) in wrap(&check.line, COLUMNS - INDENT, 0).iter().enumerate() {
                // Writing to a String never fails.
                let _ = if number == 0 {
                    writeln!(out, "{word} {:<12} {line}", check.name)
                } else {
                    writeln!(out, "{:INDENT$}{line}", "")
                };
            }
            if let Some(mend) = &check.mend {
                let _ = writeln!(out, "          > {mend}");
            }
        }
        out
    }

    /// For Nagios: one line with what is not well, then the figures.
    pub(crate) fn nagios(&self) -> String {
        let plain = |text: &str| text.replace('|', "/");
        let bad: Vec<String> = [State::Critical, State::Warning, State::Unknown]
            .iter()
            .flat_map(|state| self.checks.iter().filter(move |c| c.state == *state))
            .map(|c| format!("{}: {}", c.name, plain(&c.line)))
            .collect();
        let word = match self.state() {
            State::Ok => "OK",
            State::Warning => "WARNING",
            State::Critical => "CRITICAL",
            State::Unknown => "UNKNOWN",
        };
        let what = if bad.is_empty() { format!("{} checks, all well", self.checks.len()) } else { bad.join("; ") };
        let figures: Vec<String> = self.figures.iter().map(|f| format!("{}={}{}", f.name, f.value, f.unit)).collect();
        let bar = if figures.is_empty() { "" } else { " | " };
        format!("PVE-NETWORK-RS {word} - {what}{bar}{}", figures.join(" "))
    }
}

/// No table is wider.
pub(crate) const COLUMNS: usize = 80;
const INDENT: usize = 23;

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            node: "pve1".into(),
            checks: vec![
                Check::new(
                    "units",
                    State::Critical,
                    "pve-network-migration.service is disabled, though this node is at rust-read-only",
                )
                .mend("systemctl enable --now pve-network-migration.service"),
                Check::ok("phase", "rust-read-only"),
                Check::new("perl-api", State::Warning, "a | b"),
                Check::new("package", State::Unknown, "not asked"),
            ],
            figures: vec![Figure { name: "snapshot_age", value: 60, unit: "s" }],
        }
    }

    #[test]
    fn the_table_fits_and_commands_are_whole() {
        let text = report().text(Colours::NONE);
        assert_eq!(
            text,
            "\
ok        phase        rust-read-only
unknown   package      not asked
warning   perl-api     a | b
CRITICAL  units        pve-network-migration.service is disabled, though this
                       node is at rust-read-only
          > systemctl enable --now pve-network-migration.service
"
        );
        assert!(report().text(Colours::ALWAYS).starts_with("\x1b[32mok       \x1b[0m phase"));
    }

    #[test]
    fn nagios_gets_one_line_and_one_bar() {
        assert_eq!(
            report().nagios(),
            "PVE-NETWORK-RS CRITICAL - units: pve-network-migration.service is disabled, though this node is at \
             rust-read-only; perl-api: a / b; package: not asked | snapshot_age=60s"
        );
        let well = Report { checks: vec![Check::ok("phase", "x")], figures: vec![], ..report() };
        assert_eq!(well.nagios(), "PVE-NETWORK-RS OK - 1 checks, all well");
        assert_eq!([State::Ok, State::Warning, State::Critical, State::Unknown].map(State::nagios), [0, 1, 2, 3]);
    }

    #[test]
    fn the_worst_decides_and_a_warning_is_worse_than_not_knowing() {
        for (states, worst) in [
            (vec![State::Ok, State::Unknown], State::Unknown),
            (vec![State::Warning, State::Unknown, State::Ok], State::Warning),
            (vec![State::Critical, State::Warning], State::Critical),
            (vec![], State::Unknown),
        ] {
            let checks = states.iter().map(|s| Check::new("x", *s, "")).collect();
            assert_eq!(Report { checks, ..report() }.state(), worst, "{states:?}");
        }
    }
}
