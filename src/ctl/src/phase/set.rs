//! `migration-ctl phase set`.

use std::io::ErrorKind;
use std::time::Duration;

use ::phase::{Done, Override, Phase, Plan, Setting, Who, Wish};
use clap::Args;
use host::{Clock, Error, Kind, Result};
use maintscript::removal::Resume;

use super::Whose;
use crate::{Node, services};
use ::cli::{note, one_line, out};

/// `migration-ctl phase set …`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The phase.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Phase::ALL.map(Phase::as_str)))]
    phase: String,
    #[command(flatten)]
    whose: Whose,
    /// Restart the services afterwards, so that they follow.
    #[arg(long)]
    restart: bool,
    /// Show what would be written and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overriding: Overriding,
}

/// How a larger step than one is let through.
#[derive(Debug, Args)]
pub(crate) struct Overriding {
    /// Let a larger step through; goes into the history.
    #[arg(long = "override", requires_all = ["reason", "expires"])]
    overriding: bool,
    /// Why, in your words.
    #[arg(long, value_name = "TEXT", requires = "overriding", value_parser = reason)]
    reason: Option<String>,
    /// For how long the reason holds, such as 30m, 2h or 7d; status and health say when it is over.
    #[arg(long, value_name = "TIME", requires = "overriding", value_parser = duration)]
    expires: Option<Duration>,
}

/// Longer reasons belong into a ticket.
const LONGEST_REASON: usize = 500;

/// An override that is good for longer is no exception any more.
const LONGEST: u64 = 30 * 86_400;

/// A reason as the history keeps it.
pub(crate) fn reason(text: &str) -> std::result::Result<String, String> {
    let text = one_line(text)?;
    if text.chars().count() > LONGEST_REASON {
        return Err(format!("it is longer than {LONGEST_REASON} characters"));
    }
    Ok(text)
}

/// A time as `30m`, `2h` or `7d`: a minute to thirty days.
pub(crate) fn duration(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || "it must be a number with m, h or d, from 1m to 30d, such as 2h".to_owned();
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let seconds = number.and_then(|n| n.checked_mul(unit)).filter(|s| (60..=LONGEST).contains(s));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

impl Overriding {
    /// The override, if one is asked for.
    pub(crate) fn given(&self) -> Option<Override> {
        let (Some(reason), Some(expires), true) = (&self.reason, self.expires, self.overriding) else { return None };
        let seconds = i64::try_from(expires.as_secs()).unwrap_or(i64::MAX);
        Some(Override { reason: reason.clone(), expires: Clock::System.now().seconds().saturating_add(seconds) })
    }
}

/// Makes a change under the lock of this node's writers, and says what could not be done beside it.
pub(crate) fn carry_out(node: &Node, wish: Wish, overridden: Option<Override>, why: &str) -> Result<Done> {
    let plan = node.switch.plan(&wish, overridden.as_ref())?;
    let _lock = match node.store.lock(Duration::from_secs(30)) {
        Ok(lock) => Some(lock),
        Err(error) if plan.raises => return Err(error),
        Err(error) => {
            note!("migration-ctl: {error}; the change is made all the same, since it raises nothing");
            None
        }
    };
    let done = node.switch.change(wish, overridden, Who::here("migration-ctl"), why, node.store.clock);
    let done = done.map_err(|error| on_full_disk(error, plan.raises))?;
    for error in &done.unrecorded {
        note!("migration-ctl: {error}; the change is made all the same, since it raises nothing");
    }
    Ok(done)
}

/// What is left to do where a phase can't even be lowered.
fn on_full_disk(error: Error, raises: bool) -> Error {
    if !matches!(error.io_kind(), Some(ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem)) {
        return error;
    }
    let error = error.way_out("look at 'df -h /var/lib' and 'findmnt /var/lib', then again");
    match raises {
        true => error,
        false => error.way_out(
            "meanwhile this keeps Rust from answering: systemctl stop pve-network-migration.service pve-network-rs.service",
        ),
    }
}

/// Sets it.
pub(super) fn run(node: &Node, asked: &Set) -> Result<()> {
    let to: Phase = asked.phase.parse()?;
    let own = &node.switch.node;
    let wish = match &asked.whose.node {
        _ if asked.whose.all_nodes => Wish::AllNodes { to },
        name => Wish::Node { node: name.clone().unwrap_or_else(|| own.clone()), to },
    };
    let given = asked.overriding.given();
    let why = given.as_ref().map_or("set by hand", |given| given.reason.as_str());
    if asked.dry_run {
        let plan = node.switch.plan(&wish, given.as_ref())?;
        show(&plan)?;
        return restart(node, asked);
    }
    let done = carry_out(node, wish.clone(), given.clone(), why)?;
    let itself = !matches!(&wish, Wish::Node { node, .. } if node != own);
    if itself {
        Resume::forget(&node.store)?;
    }
    tell(node, &wish, &done);
    if given.is_some() && done.plan.overridden.is_none() {
        note!("no override was needed, and none is recorded");
    }
    if let Some(error) = &done.cluster {
        // Down it goes in any case: a removal of power must not wait for anybody.
        let told = format!("{error}; this node's own ceiling holds meanwhile");
        if error.kind() != Kind::ClusterNotWritable {
            return Err(Error::new(told));
        }
        note!("migration-ctl: {told}");
    }
    others(node, to, itself)?;
    restart(node, asked)
}

/// What would be written.
pub(crate) fn show(plan: &Plan) -> Result<()> {
    let none = || "nothing".to_owned();
    for Setting { key, from, to } in &plan.changes {
        let (from, to) = (from.clone().unwrap_or_else(none), to.clone().unwrap_or_else(none));
        out(format_args!("{key}: {from} -> {to}"))?;
    }
    if let Some(over) = &plan.overridden {
        let until = host::Timestamp::from_seconds(over.expires);
        out(format_args!("override until {until}: {}", over.reason))?;
    }
    if let Some((_, why)) = &plan.no_cluster {
        note!("migration-ctl: {why}; this node's own ceiling would hold meanwhile");
    }
    if plan.is_empty() {
        note!("nothing would change");
    }
    Ok(())
}

fn tell(node: &Node, wish: &Wish, done: &Done) {
    let own = &node.switch.node;
    match wish {
        Wish::Node { node: name, to } if name == own => note!("node {own} is at {to} (was {})", done.from),
        Wish::Node { node: name, to } => {
            let was = done.plan.steps.first().map_or(*to, |step| step.from);
            note!("migration.toml now wants {to} of node {name} (was {was})");
        }
        Wish::AllNodes { to } => {
            note!("node {own} is at {to} (was {})", done.from);
            for step in done.plan.steps.iter().filter(|step| step.node != *own) {
                note!("migration.toml now wants {to} of node {} (was {})", step.node, step.from);
            }
            for name in &done.plan.strangers {
                note!("[nodes.{name}] is left alone: the cluster has no node of this name");
            }
        }
        _ => {}
    }
    let ups = done.plan.steps.iter().filter(|step| step.node != *own && step.to > step.from);
    for step in ups {
        note!(
            "node {} never does more than its own ceiling allows; to raise that, run there: migration-ctl phase set {}",
            step.node,
            step.to
        );
    }
    if let Some(over) = &done.plan.overridden {
        let until = host::Timestamp::from_seconds(over.expires);
        note!("let through by override until {until}; it does not go back by itself: {}", over.reason);
    }
}

/// Where the others stand, and which feature the new phase still has no use of.
fn others(node: &Node, to: Phase, itself: bool) -> Result<()> {
    let facts = node.switch.facts();
    let Ok(migration) = facts.migration().map(Option::unwrap_or_default) else { return Ok(()) };
    let mut names = facts.known;
    names.extend(migration.nodes.keys().cloned());
    names.retain(|name| *name != node.switch.node);
    names.sort();
    names.dedup();
    if itself {
        for name in &names {
            note!("node {name} is at {}, or lower by its own ceiling", migration.node_phase(name));
        }
    }
    for feature in migration.features.off_in(to) {
        note!("feature {feature} is off, so that it writes nothing yet: migration-ctl feature enable {feature}");
    }
    Ok(())
}

fn restart(node: &Node, asked: &Set) -> Result<()> {
    match (asked.restart, asked.dry_run) {
        (true, true) => out(format_args!("restart {}", services::MIDDLEWARE)),
        (true, false) => services::restart(node),
        (false, true) => Ok(()),
        (false, false) => {
            note!("to make the services follow: systemctl restart {}", services::MIDDLEWARE);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_that_fits() {
        assert_eq!(reason(" the lab is down "), Ok("the lab is down".to_owned()));
        for bad in ["", " ", "a\nb", "\x1b[2J", &"x".repeat(501)] {
            assert!(reason(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("1m", 60), ("90m", 5_400), ("2h", 7_200), ("30d", 2_592_000)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds);
        }
        for text in ["", "h", "2", "0m", "31d", "2 h", "-1h", "+1h", "1w", "99999999999999999999d", "1ü"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
