//! The services that follow the phase.

use host::{Command, Error, Result};

use crate::Node;
use ::cli::note;

/// The one unit that is to be restarted after a change of phase; the daemon follows it.
pub(crate) const MIDDLEWARE: &str = "pve-network-migration.service";

/// Restarts them.
pub(crate) fn restart(node: &Node) -> Result<()> {
    let root = &node.store.root;
    // systemd's own mark of a running one, sd_booted(3).
    if !root.is_system() || !root.path("/run/systemd/system").is_dir() {
        return Err(Error::new(format!("cannot restart {MIDDLEWARE}: systemd does not run here"))
            .way_out("the phase is set, and services follow when they are started"));
    }
    let command = Command::new("systemctl").args(["restart", MIDDLEWARE]);
    let done = command.run()?;
    if done.success() {
        note!("restarted {MIDDLEWARE}");
        return Ok(());
    }
    let said = done.stderr.lines().next().unwrap_or("systemctl says nothing").to_owned();
    Err(Error::new(format!("the phase is set, but {MIDDLEWARE} did not restart: {said}"))
        .way_out(format_args!("see journalctl -u {MIDDLEWARE}")))
}
