//! `migration-ctl status`: one screen for 3 a.m.
//!
//! ```text
//!   disk, systemd ──► facts ──► next (pure) ──► text: 24 lines of 80 columns on a terminal
//!                                          └──► JSON
//! ```
//!
//! It never fails because something is broken: what is broken is what it is asked for. What a
//! removal would do comes from the function that `prerm remove` calls.

mod facts;
mod next;
mod text;

use clap::Args;
use host::Result;

use crate::Node;
use ::cli::{Form, Output, out};

/// `migration-ctl status …`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    output: Output,
}

/// Shows it.
pub(crate) fn run(node: &Node, asked: &Status) -> Result<()> {
    let facts = facts::Facts::read(node);
    let next = next::next(&facts);
    if asked.output.output == Form::Json {
        let value = serde_json::to_value(&facts).and_then(|mut value| {
            value["schema_version"] = 1.into();
            value["next"] = serde_json::to_value(&next)?;
            Ok(value)
        });
        return out(value.map_err(|e| host::Error::new(format!("cannot write JSON: {e}")))?);
    }
    for line in text::render(&facts, &next, ::cli::screen::size(), ::cli::screen::Colours::of_stdout()) {
        out(line)?;
    }
    Ok(())
}
