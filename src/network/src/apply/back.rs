//! The way back. Each part can be taken twice, so whoever comes next finishes it.

use std::time::Duration;

use history::take_back;
use host::{Clock, Result};

use super::record::{Record, State, Wish, unless_purged};
use super::wanted::{left_over, missing};
use super::{boot_id, guardian, ifreload, mend, now_ms};
use crate::Node;
use crate::kernel::Kernel;

/// How long it may take in milliseconds before the guardian thinks it stuck: two reloads.
const PATIENCE_MS: u64 = 2 * 1000 * ifreload::PATIENCE + 60_000;

/// How often what ifupdown2 left undone is looked for.
const ROUNDS: usize = 3;

/// Takes the apply back: files, then the kernel, then its record. The caller has the turn.
///
/// # Errors
/// The files can't be put back, or the record can't be written. What could not be mended in the kernel is among the
/// record's notes.
pub(super) fn go(node: &Node, record: &mut Record, why: &str) -> Result<()> {
    let store = &node.store;
    record.pid = std::process::id();
    record.why.get_or_insert_with(|| why.to_owned());
    record.enter(store, State::RollingBack, now_ms() + PATIENCE_MS)?;
    // After a purge nothing of ours is there to be put back, and dpkg has put the files back already.
    if !record.paths.is_empty() {
        let took = u64::try_from(Clock::System.now().seconds() - record.started).unwrap_or(0);
        let took = Duration::from_secs(took);
        let lines = unless_purged(store, || take_back(store, &record.id, &record.snapshot, &record.phase, took))?;
        record.notes.extend(lines.unwrap_or_default());
    }
    if record.reached.touched_kernel() && record.boot == boot_id(store) {
        match kernel(record) {
            Ok(notes) => record.notes.extend(notes),
            Err(error) => record.notes.push(format!("the kernel may not be as it was: {error}")),
        }
    }
    record.enter(store, State::RolledBack, now_ms())?;
    unless_purged(store, || Wish::forget(store))?;
    guardian::tidy(store, &record.id);
    Ok(())
}

/// Has ifupdown2 bring up what the files say again, and mends what it leaves undone.
fn kernel(record: &Record) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let ports = mend::plugged(&record.before, &Kernel::read()?);
    let again = |notes: &mut Vec<String>| {
        let (done, mended) = ifreload::run_and_mend(&record.old, &record.new, &ports);
        match done {
            Ok(complaints) => notes.extend(complaints),
            Err(error) => notes.push(error.to_string()),
        }
        notes.extend(mended.iter().map(|order| format!("during ifreload: {order}")));
    };
    again(&mut notes);
    for round in 0..ROUNDS {
        let now = Kernel::read()?;
        let gone = mend::gone(&record.old, &record.before, &now);
        if !gone.is_empty() && round > 0 {
            // Only ifupdown2 makes them; it may have been in the middle of taking them away.
            again(&mut notes);
        }
        let now = Kernel::read()?;
        let mut orders = mend::back(&record.old, &record.new, &record.before, &now);
        orders.extend(mend::lost_ports(&record.old, &record.new, &ports, &now));
        if orders.is_empty() && gone.is_empty() {
            break;
        }
        let failed = ifreload::carry_out(&orders, &ports)?;
        notes.extend(orders.iter().map(|order| format!("after ifreload: {order}")));
        notes.extend(failed);
    }
    let now = Kernel::read()?;
    let known = missing(&record.old, &record.before);
    let wrong = missing(&record.old, &now);
    let rest = wrong.difference(&known).cloned().chain(left_over(&record.new, &record.old, &now));
    notes.extend(rest.map(|line| format!("still wrong: {line}")));
    Ok(notes)
}
