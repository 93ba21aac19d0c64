//! `migration-ctl phase`: where the nodes stand, the steps up and down, and who took them.

mod get;
mod past;
mod set;

use ::phase::{What, Wish};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use host::{Error, Kind, Result};
use maintscript::removal::Resume;

use crate::Node;
use ::cli::{Output, note};

pub(crate) use set::{Overriding, carry_out, duration, reason, show};

/// `migration-ctl phase …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Phase {
    /// Print the effective phase of this node.
    Get {
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        output: Output,
    },
    /// Set the phase of this node: one step up at a time, any number of steps down.
    Set(set::Set),
    /// Show who changed this node's phase, when, and why.
    History {
        /// Check that no line is missing or altered, and print the digest of the last one.
        #[arg(long)]
        verify: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Return to the phase that a failed configure took away.
    Resume,
    /// Exit with 0 if the phase allows WHAT, else say why not and exit with 3.
    Allows {
        /// What is asked for.
        #[arg(value_parser = PossibleValuesParser::new(What::ALL.map(What::as_str)).try_map(|text| parse_what(&text)))]
        what: What,
    },
}

/// Which nodes; without either the one that this runs on.
#[derive(Debug, clap::Args)]
pub(crate) struct Whose {
    /// Another node, by its name: what migration.toml says for it [default: the node that this runs on].
    #[arg(long, value_name = "NODE", conflicts_with = "all_nodes")]
    pub(crate) node: Option<String>,
    /// Every node: what migration.toml says for each; a node's own ceiling is changed on that node alone.
    #[arg(long)]
    pub(crate) all_nodes: bool,
}

fn parse_what(text: &str) -> std::result::Result<What, String> {
    What::ALL.into_iter().find(|w| w.as_str() == text).ok_or_else(|| format!("{text:?} is nothing that a phase allows"))
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Phase) -> Result<()> {
    match command {
        Phase::Get { whose, output } => get::run(node, &whose, output.output),
        Phase::Set(asked) => set::run(node, &asked),
        Phase::History { verify, output } => past::run(node, verify, output.output),
        Phase::Resume => resume(node),
        Phase::Allows { what } => allows(node, what),
    }
}

/// Returns to what a failed configure took away.
fn resume(node: &Node) -> Result<()> {
    let Some(resume) = Resume::read(&node.store)? else {
        return Err(Error::of(
            Kind::Refused,
            "no failed configure took a phase away; 'migration-ctl phase set PHASE' sets one",
        ));
    };
    let phase = |name: &str| name.parse::<::phase::Phase>();
    let (ceiling, line) = (phase(&resume.ceiling)?, phase(&resume.node_phase)?);
    let wish = Wish::Again { ceiling: Some(ceiling), line: Some(line) };
    carry_out(node, wish, None, "what a failed configure took away")?;
    Resume::forget(&node.store)?;
    note!("node {} is at {} again", node.switch.node, node.switch.effective().phase);
    Ok(())
}

/// For `ExecCondition=`: whether the phase lets a unit run.
fn allows(node: &Node, what: What) -> Result<()> {
    let effective = node.switch.effective();
    if ::phase::allows(what, effective.phase) {
        return Ok(());
    }
    let why = effective.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(Error::of(
        Kind::Refused,
        format!("{} needs phase {}, and this node is at {}: {why}", what.as_str(), what.least_phase(), effective.phase),
    )
    .way_out("'migration-ctl phase set' changes it"))
}
