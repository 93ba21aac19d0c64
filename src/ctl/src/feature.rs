//! `migration-ctl feature`: which of our programs may write, besides what the phase allows.

use ::phase::{Features, Wish};
use clap::Subcommand;
use host::Result;
use serde_json::{Value, json};

use crate::Node;
use crate::phase::{carry_out, show};
use ::cli::{Form, Output, note, out};

/// `migration-ctl feature …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Feature {
    /// Let a program write, on every node whose phase allows it.
    Enable(Switch),
    /// Keep a program from writing, on every node.
    Disable(Switch),
    /// List features and whether they are on.
    List {
        #[command(flatten)]
        output: Output,
    },
}

/// Which feature.
#[derive(Debug, clap::Args)]
pub(crate) struct Switch {
    /// Its name.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Features::NAMES))]
    name: String,
    /// Show what would be written and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Runs one of them.
pub(crate) fn run(node: &Node, command: Feature) -> Result<()> {
    match command {
        Feature::Enable(asked) => switch(node, asked, true),
        Feature::Disable(asked) => switch(node, asked, false),
        Feature::List { output } => list(node, output.output),
    }
}

fn switch(node: &Node, asked: Switch, on: bool) -> Result<()> {
    let word = if on { "on" } else { "off" };
    let wish = Wish::Feature { name: asked.name.clone(), on };
    if asked.dry_run {
        return show(&node.switch.plan(&wish, None)?);
    }
    let done = carry_out(node, wish, None, "switched by hand")?;
    let (name, already) = (&asked.name, if done.plan.is_empty() { " already" } else { "" });
    note!("feature {name} is {word}{already}, for the whole cluster");
    let phase = node.switch.effective().phase;
    if on && phase < ::phase::Phase::RustBasicWrite {
        note!("nothing follows from it on this node yet: its phase, {phase}, allows no write");
    }
    Ok(())
}

fn list(node: &Node, form: Form) -> Result<()> {
    let features = node.switch.facts().migration()?.unwrap_or_default().features;
    let off = features.off_in(node.switch.effective().phase);
    let all = Features::NAMES.map(|name| (name, features.get(name) == Some(true)));
    if form == Form::Json {
        let all: Vec<Value> =
            all.iter().map(|(name, on)| json!({"name": name, "on": on, "wanted": off.contains(name)})).collect();
        return out(json!({"schema_version": 1, "features": all}));
    }
    for (name, on) in all {
        let about = if name == "rust_cli" { "pvenet writes by itself" } else { "the daemon writes" };
        out(format_args!("{name:<12} {:<4} {about}", if on { "on" } else { "off" }))?;
    }
    for name in off {
        note!("this node's phase has use for {name}: migration-ctl feature enable {name}");
    }
    Ok(())
}
