//! `migration-ctl phase`: where this node stands, and the steps up and down.

use ::phase::{Migration, What, config, step_allowed};
use clap::Subcommand;
use host::{Cluster, Error, Kind, Result, cluster};
use maintscript::removal::Resume;

use crate::Node;
use crate::cli::{Form, Output, out};

/// `migration-ctl phase …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Phase {
    /// Print the effective phase of this node.
    Get {
        #[command(flatten)]
        output: Output,
    },
    /// Set the phase of this node: one step up at a time, any number of steps down.
    Set {
        /// The phase.
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(::phase::Phase::ALL.map(::phase::Phase::as_str)))]
        phase: String,
    },
    /// Return to the phase that a failed configure took away.
    Resume,
    /// Exit with 0 if the phase allows WHAT, else say why not and exit with 3.
    Allows {
        /// What is asked for, such as `daemon`.
        #[arg(value_parser = parse_what)]
        what: What,
    },
}

fn parse_what(text: &str) -> std::result::Result<What, String> {
    What::ALL.into_iter().find(|w| w.as_str() == text).ok_or_else(|| {
        let all = What::ALL.map(What::as_str).join(", ");
        format!("it must be one of {all}")
    })
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Phase) -> Result<()> {
    match command {
        Phase::Get { output } => get(node, output.output),
        Phase::Set { phase } => set(node, phase.parse()?),
        Phase::Resume => resume(node),
        Phase::Allows { what } => allows(node, what),
    }
}

/// Prints the effective phase; problems go to standard error.
fn get(node: &Node, form: Form) -> Result<()> {
    let effective = node.switch.effective();
    let reasons: Vec<String> = effective.reasons.iter().map(ToString::to_string).collect();
    if form == Form::Json {
        let ceiling = node.switch.ceiling().ok().flatten().map(|p| p.to_string());
        let value = serde_json::json!({
            "schema_version": 1,
            "node": node.switch.node,
            "phase": effective.phase.to_string(),
            "ceiling": ceiling,
            "reasons": reasons,
        });
        return out(value);
    }
    for problem in effective.problems() {
        eprintln!("migration-ctl: {problem}");
    }
    out(effective.phase)
}

/// Sets this node's phase.
fn set(node: &Node, to: ::phase::Phase) -> Result<()> {
    let switch = &node.switch;
    let from = switch.effective().phase;
    step_allowed(from, to)?;
    change(node, from, to)?;
    Resume::forget(&node.store)?;
    eprintln!("node {} is at {to} (was {from})", switch.node);
    others(node)?;
    eprintln!("to make the services follow: systemctl restart pve-network-migration.service");
    Ok(())
}

/// Down: the ceiling first, since it needs nobody. Up: the cluster first, so that a ceiling is never
/// higher than what was agreed.
fn change(node: &Node, from: ::phase::Phase, to: ::phase::Phase) -> Result<()> {
    let switch = &node.switch;
    let _lock = node.store.lock(std::time::Duration::from_secs(30))?;
    if to <= from {
        switch.set_ceiling(to)?;
        return match set_in_cluster(node, to) {
            Err(error) if error.kind() == Kind::ClusterNotWritable => {
                eprintln!("migration-ctl: {error}; this node's own ceiling holds meanwhile");
                Ok(())
            }
            done => done,
        };
    }
    set_in_cluster(node, to)?;
    switch.set_ceiling(to)
}

fn set_in_cluster(node: &Node, to: ::phase::Phase) -> Result<()> {
    let switch = &node.switch;
    if cluster::read(&switch.root, &switch.migration, config::MAX_SIZE)?.is_none() {
        let first = ::phase::DEFAULT_TOML.as_bytes();
        match Cluster::new(&switch.root, &switch.node).replace(&switch.migration, None, first) {
            Err(error) if error.kind() == Kind::Refused => {} // another node was quicker
            done => done?,
        }
    }
    switch.set_in_cluster(to).map(drop)
}

/// Where the other nodes stand, since each has a phase of its own.
fn others(node: &Node) -> Result<()> {
    let switch = &node.switch;
    let Some(bytes) = cluster::read(&switch.root, &switch.migration, config::MAX_SIZE)? else { return Ok(()) };
    let text = String::from_utf8_lossy(&bytes);
    let migration = Migration::parse(&text, &switch.migration.display().to_string())?;
    for (name, phase) in migration.nodes.iter().filter(|(name, _)| **name != switch.node) {
        eprintln!("node {name} is at {phase}");
    }
    Ok(())
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
    let (ceiling, wanted) = (phase(&resume.ceiling)?, phase(&resume.node_phase)?);
    let _lock = node.store.lock(std::time::Duration::from_secs(30))?;
    set_in_cluster(node, wanted)?;
    node.switch.set_ceiling(ceiling)?;
    Resume::forget(&node.store)?;
    eprintln!("node {} is at {} again", node.switch.node, node.switch.effective().phase);
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
