//! systemd units: never enabled, never started at install; restarted where they run; stopped at
//! removal. policy-rc.d(8) is asked first, and without a running systemd there is nothing to do.

use std::path::Path;
use std::time::Duration;

use host::{Command, Error, Result};

use super::Runner;
use crate::removal::Removal;

impl Runner<'_> {
    fn systemd_runs(&self) -> bool {
        self.cx.root.is_system() && Path::new("/run/systemd/system").is_dir() && !self.cx.policy.units.is_empty()
    }

    /// Which of our units are up, or on their way.
    fn running(&self) -> Result<Vec<String>> {
        let out = Command::new("systemctl").args(["is-active", "--"]).args(self.cx.policy.units.clone()).run()?;
        let up = |state: &str| matches!(state, "active" | "activating" | "reloading" | "deactivating" | "refreshing");
        Ok(self
            .cx
            .policy
            .units
            .iter()
            .zip(out.stdout.lines())
            .filter(|(_, state)| up(state.trim()))
            .map(|(u, _)| u.clone())
            .collect())
    }

    /// Those that the local policy lets us act on.
    fn allowed(&self, units: Vec<String>, action: &str) -> Vec<String> {
        let policy = Command::new("/usr/sbin/policy-rc.d");
        if policy.find().is_none() {
            return units;
        }
        let allows = |unit: &String| match policy.clone().args([unit.as_str(), action]).run() {
            Ok(out) if matches!(out.code, Some(0 | 104)) => true,
            _ => {
                self.say(format_args!("policy-rc.d forbids to {action} {unit}"));
                false
            }
        };
        units.into_iter().filter(allows).collect()
    }

    fn systemctl(&self, action: &str, units: &[String]) -> Result<()> {
        let command = Command::new("systemctl")
            .args(["--no-ask-password", action])
            .args(units.to_vec())
            .patience(Duration::from_secs(120));
        let out = command.run()?;
        if out.success() {
            return Ok(());
        }
        let said = out.stderr.lines().next().unwrap_or("it gave no reason").to_owned();
        let unit = units.first().map_or_else(String::new, |u| format!("; `journalctl -u {u}` may say why"));
        Err(Error::new(format!("{} failed: {said}{unit}", command.line())))
    }

    pub(super) fn reload_and_restart(&self) -> Result<()> {
        if !self.systemd_runs() {
            return Ok(());
        }
        self.systemctl("daemon-reload", &[])?;
        let running = self.allowed(self.running()?, "restart");
        if running.is_empty() { Ok(()) } else { self.systemctl("restart", &running) }
    }

    pub(super) fn stop_units(&self) -> Result<()> {
        if !self.systemd_runs() {
            return Ok(());
        }
        let running = self.allowed(self.running()?, "stop");
        if running.is_empty() {
            return Ok(());
        }
        if let Some(mut removal) = Removal::known(&self.cx.store) {
            removal.stopped.clone_from(&running);
            removal.write(&self.cx.store)?;
        }
        self.systemctl("stop", &running)
    }

    /// An aborted removal starts again what it stopped.
    pub(super) fn start_again(&self, stopped: &[String]) -> Result<()> {
        if !self.systemd_runs() || stopped.is_empty() {
            return Ok(());
        }
        let units = self.allowed(stopped.to_vec(), "start");
        if units.is_empty() { Ok(()) } else { self.systemctl("start", &units) }
    }

    pub(super) fn reload(&self) -> Result<()> {
        if self.systemd_runs() { self.systemctl("daemon-reload", &[]) } else { Ok(()) }
    }
}
