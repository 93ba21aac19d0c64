//! `migration-ctl health`: is this node as it should be, and if not, which command mends it?

pub(crate) mod facts;
pub(crate) mod judge;

use clap::Args;
use host::{Error, Kind, Result};

use crate::Node;
use crate::checks::{Report, State};
use ::cli::screen::Colours;
use ::cli::{Form, Output, out};
use facts::Facts;

/// `migration-ctl health …`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Print one line with performance data and exit as a Nagios plugin does: 0 ok, 1 warning, 2
    /// critical, 3 unknown.
    #[arg(long, conflicts_with = "output")]
    nagios: bool,
    #[command(flatten)]
    output: Output,
}

impl Health {
    /// For a plugin that could not ask at all: its one line, and the caller ends with 3 anyway.
    pub(crate) fn not_asked(&self, why: &Error) {
        if self.nagios {
            let _ = out(format_args!("PVE-NETWORK-RS UNKNOWN - {why}")); // who hears nothing has the exit code
        }
    }
}

/// Judges the node as it is now.
pub(crate) fn report(node: &Node) -> Report {
    let facts = Facts::read(node);
    Report { node: facts.node.clone(), checks: judge::judge(&facts), figures: judge::figures(&facts) }
}

/// Prints the report. Exit 0 if nothing is critical and everything could be asked, 1 if something
/// is critical, 4 if something could not be asked.
pub(crate) fn run(node: &Node, asked: &Health) -> Result<()> {
    let report = report(node);
    if asked.nagios {
        out(report.nagios())?;
        std::process::exit(report.state().nagios().into());
    }
    print(&report, asked.output.output)?;
    let count = |state| report.checks.iter().filter(|c| c.state == state).count();
    match (count(State::Critical), count(State::Unknown)) {
        (0, 0) => Ok(()),
        (0, unknown) => {
            Err(Error::of(Kind::Inconclusive, format!("{unknown} of {} checks can't be made", report.checks.len())))
        }
        (bad, _) => Err(Error::new(format!("{bad} of {} checks are critical", report.checks.len()))),
    }
}

/// As text or JSON.
pub(crate) fn print(report: &Report, form: Form) -> Result<()> {
    match form {
        Form::Json => out(report.json()),
        Form::Text => out(report.text(Colours::of_stdout()).trim_end()),
    }
}
