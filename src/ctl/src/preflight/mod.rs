//! `migration-ctl preflight`: does anything stand in the way of beginning?

mod automation;
mod facts;
mod judge;

use clap::Args;
use host::{Error, Kind, Result};

use crate::Node;
use crate::checks::{Report, State};
use ::cli::Output;
use facts::Facts;

/// `migration-ctl preflight …`.
#[derive(Debug, Args)]
pub(crate) struct Preflight {
    #[command(flatten)]
    output: Output,
}

/// Prints the report; refused if something stands in the way.
pub(crate) fn run(node: &Node, asked: &Preflight) -> Result<()> {
    let facts = Facts::read(node);
    let report = Report { node: facts.node.clone(), checks: judge::judge(&facts), figures: Vec::new() };
    crate::health::print(&report, asked.output.output)?;
    match report.checks.iter().filter(|c| c.state == State::Critical).count() {
        0 => Ok(()),
        count => Err(Error::of(Kind::Refused, format!("{count} of {} checks stand in the way", report.checks.len()))),
    }
}
