//! `migration-ctl promote`: asks the gate, and takes this node one phase up if that passes.
//!
//! ```text
//!   change window ─► cluster-wide lock ─► facts ─► gate ─► migration.toml as it was judged?
//!                                                   │            │
//!                            not passed: refused, or overridden  ▼
//!                                           passage on disk ─► phase ─► what has proven itself is accepted
//! ```

use std::path::PathBuf;
use std::time::Duration;

use ::phase::{Override, Phase, Wish};
use canary::gate::{self, Judgement, Verdict};
use canary::read::overrides::Passage;
use canary::read::standing::by_passage;
use canary::{read, shown};
use clap::Args;
use host::{Cluster, Error, Kind, Result, Timestamp, files};
use maintscript::removal::Resume;
use serde_json::json;

use crate::phase::{carry_out, duration, reason};
use crate::{Node, accept, here, services};
use ::cli::screen::Colours;
use ::cli::{Form, Output, out};

/// The lock under which nodes are promoted, one at a time.
const LOCK: &str = "promote";

/// Checks that no override sets aside: who wants them otherwise sets the phase by hand.
const FIRM: [&str; 2] = ["step", "order"];

/// `migration-ctl promote …`.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    asked: canary::Asked,
    /// Show every value with its threshold and its source.
    #[arg(long)]
    explain: bool,
    /// Restart the services afterwards, so that they follow.
    #[arg(long)]
    restart: bool,
    /// Ask the gate, say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on although the gate does not pass; stands in the evidence, and in every gate after this one.
    #[arg(long = "override", requires_all = ["reason", "expires"])]
    overriding: bool,
    /// Why, in your words.
    #[arg(long, value_name = "TEXT", requires = "overriding", value_parser = reason)]
    reason: Option<String>,
    /// For how long the reason holds, such as 30m, 2h or 7d; no gate passes once it is over.
    #[arg(long, value_name = "TIME", requires = "overriding", value_parser = duration)]
    expires: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

impl Promote {
    fn overridden(&self, now: i64) -> Option<Override> {
        let (Some(reason), Some(expires), true) = (&self.reason, self.expires, self.overriding) else { return None };
        let seconds = i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
        Some(Override { reason: reason.clone(), expires: now.saturating_add(seconds) })
    }
}

/// What came of it.
struct Done {
    verdict: Verdict,
    overridden: Option<Override>,
    passage: Option<PathBuf>,
    accepted: Vec<String>,
}

/// Promotes, or says why not.
pub(crate) fn run(node: &Node, asked: &Promote) -> Result<()> {
    in_window(node)?;
    let judge = read::Node { store: node.store.clone(), switch: node.switch.clone() };
    let sources = asked.asked.sources(&judge)?;
    let from = node.switch.effective().phase;
    let to = from
        .next()
        .ok_or_else(|| Error::of(Kind::Refused, format!("the node is at {from}: there is no phase above it")))?;
    let look = || gate::gate(&read::facts(&judge, to, &sources));
    let done = if asked.dry_run {
        let verdict = look();
        let overridden = allowed(node, asked, &verdict);
        tell(
            asked,
            &Done {
                verdict,
                overridden: overridden.as_ref().ok().cloned().flatten(),
                passage: None,
                accepted: Vec::new(),
            },
        )?;
        return overridden.map(drop);
    } else {
        let cluster = Cluster::new(&node.store.root, &node.switch.node);
        cluster.alone(LOCK, |keep| {
            let verdict = look();
            let overridden = match allowed(node, asked, &verdict) {
                Ok(overridden) => overridden,
                Err(error) => {
                    tell(asked, &Done { verdict, overridden: None, passage: None, accepted: Vec::new() })?;
                    return Err(error);
                }
            };
            // It may have taken minutes.
            keep()?;
            in_window(node)?;
            as_judged(node, &verdict)?;
            promote(node, from, verdict, overridden)
        })?
    };
    Resume::forget(&node.store)?;
    tell(asked, &done)?;
    ::cli::note!("node {} is at {to} (was {from})", node.switch.node);
    for feature in node.switch.facts().migration()?.unwrap_or_default().features.off_in(to) {
        ::cli::note!("feature {feature} is off, so that it writes nothing yet: migration-ctl feature enable {feature}");
    }
    if asked.restart {
        return services::restart(node);
    }
    ::cli::note!("to make the services follow: systemctl restart {}", services::MIDDLEWARE);
    Ok(())
}

/// Outside of it nobody is there to see what happens.
fn in_window(node: &Node) -> Result<()> {
    let now = node.store.clock.now();
    match node.switch.facts().migration()?.and_then(|m| m.change_window) {
        Some(window) if !window.contains(now.seconds()) => Err(Error::of(
            Kind::Refused,
            format!("{now} is outside of the change window, {window} (UTC, [canary] change_window in migration.toml)"),
        )),
        _ => Ok(()),
    }
}

/// Whether the verdict lets the node go on, and by which override.
fn allowed(node: &Node, asked: &Promote, verdict: &Verdict) -> Result<Option<Override>> {
    let Err(no) = canary::ended(verdict) else { return Ok(None) };
    let Some(overridden) = asked.overridden(node.store.clock.now().seconds()) else { return Err(no) };
    match verdict.checks.iter().find(|c| c.verdict != Judgement::Pass && FIRM.contains(&c.name.as_str())) {
        None => Ok(Some(overridden)),
        Some(check) => {
            Err(Error::of(no.kind(), format!("no override sets aside who goes first and how far: {}", check.reason))
                .way_out("'migration-ctl phase set' goes by your word alone"))
        }
    }
}

/// What was judged is what is changed.
fn as_judged(node: &Node, verdict: &Verdict) -> Result<()> {
    let now = match node.switch.facts().cluster {
        ::phase::change::Seen::Bytes(bytes) => Some(files::sha256(&bytes)),
        _ => None,
    };
    if now == verdict.migration_sha256 {
        return Ok(());
    }
    let why = "migration.toml was changed while the gate was asked; nothing is changed";
    Err(Error::of(Kind::Refused, why).way_out("ask again"))
}

fn promote(node: &Node, from: Phase, verdict: Verdict, overridden: Option<Override>) -> Result<Done> {
    let passage = Passage::new(&node.store, here(), from, overridden, verdict);
    let written = passage.write(&node.store)?;
    let path = node.store.root.inside(&written.file);
    let Passage { verdict, overridden, .. } = passage;
    let why = match &overridden {
        None => "the gate passed".to_owned(),
        Some(over) => format!(
            "the gate said {}, overridden until {}: {}",
            verdict.verdict.as_str(),
            Timestamp::from_seconds(over.expires),
            over.reason
        ),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let recorded = by_passage(&why, &name, &written.sha256);
    let wish = Wish::Node { node: node.switch.node.clone(), to: verdict.wanted };
    // If it can't be done the passage stays; it lets nothing through, since no change that was made names it.
    carry_out(node, wish, None, &recorded)?;
    let by = format!("gate for {}", verdict.wanted);
    let accepted = accept::proven(node, &verdict.proven, &by, &format!("{why}: {}", path.display()));
    let accepted = accepted.map_err(|e| {
        e.context(format!("the node is at {}, but what has proven itself is still on trial", verdict.wanted))
            .way_out("migration-ctl accept")
    })?;
    Ok(Done { verdict, overridden, passage: Some(path), accepted })
}

fn tell(asked: &Promote, done: &Done) -> Result<()> {
    let Done { verdict, overridden, passage, accepted } = done;
    if asked.output.output == Form::Json {
        return out(json!({
            "schema_version": 1, "node": verdict.node, "from": verdict.from, "to": verdict.wanted,
            "promoted": passage.is_some(), "dry_run": asked.dry_run, "override": overridden, "verdict": verdict,
            "passage": passage, "accepted": accepted,
        }));
    }
    out(shown::text(verdict, asked.explain, Colours::of_stdout()))?;
    for path in accepted {
        ::cli::note!("accepted {path}: Rust wrote it, and it has proven itself");
    }
    if let Some(over) = overridden {
        let until = Timestamp::from_seconds(over.expires);
        ::cli::note!("let through by override until {until}; no gate passes after that: {}", over.reason);
    }
    if let Some(path) = passage {
        ::cli::note!("the verdict is kept in {}", path.display());
    }
    Ok(())
}
