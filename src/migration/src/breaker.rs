//! How often Rust may fail before this node goes a phase down by itself.
//!
//! A write of unknown outcome is enough. Failures that cost nobody anything but time are counted: so
//! many within a minute, and at most one a second, since a page of the web interface asks several
//! things at once and a daemon that is restarted (2 s) must not cost the node its phase.

use std::collections::VecDeque;

use phase::Phase;
use serde::{Deserialize, Serialize};

/// Version of [`Opened`]'s format; it grows when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

/// The file in the state folder that [`Opened`] stands in.
pub const FILE: &str = "breaker.json";

/// The last time that the breaker opened: what the middleware leaves for `migration-ctl status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// [`FORMAT`].
    pub schema_version: u32,
    /// When: UTC, RFC 3339.
    pub time: String,
    /// The phase in which Rust failed.
    pub from: Phase,
    /// What this node went down to.
    pub to: Phase,
    /// Why.
    pub why: String,
    /// The request that was one too many.
    pub operation: String,
}

impl Opened {
    /// Understands the file; `None` if it is damaged or means something else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(bytes).ok().filter(|opened| opened.schema_version == FORMAT)
    }

    /// Whether it still holds this node down: nobody has raised it since.
    pub fn holds(&self, ceiling: Option<Phase>) -> bool {
        ceiling.is_some_and(|ceiling| ceiling <= self.to)
    }
}

impl std::fmt::Display for Opened {
    /// One line, for a person.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { time, from, to, why, operation, .. } = self;
        write!(f, "the middleware took this node from {from} to {to} at {time}: {why} (operation {operation})")
    }
}

/// Failures that are too many.
pub const LIMIT: usize = 5;

/// Within which time, in milliseconds.
const WINDOW: u64 = 60_000;

/// Failures closer together than this, in milliseconds, are one.
const APART: u64 = 1_000;

/// Counts failures. Times are milliseconds of any clock that does not go back.
#[derive(Debug, Default, Clone)]
pub struct Breaker {
    failures: VecDeque<u64>,
}

impl Breaker {
    /// A failure; whether it is one too many. The count begins anew then.
    pub fn failed(&mut self, now: u64) -> bool {
        while self.failures.front().is_some_and(|then| now.saturating_sub(*then) > WINDOW) {
            self.failures.pop_front();
        }
        if self.failures.back().is_none_or(|last| now.saturating_sub(*last) >= APART) {
            self.failures.push_back(now);
        }
        let open = self.failures.len() >= LIMIT;
        if open {
            self.failures.clear();
        }
        open
    }

    /// The node went down for another reason: what was counted in the phase before is over.
    pub fn reset(&mut self) {
        self.failures.clear();
    }
}

/// Where a node goes whose Rust failed in `phase`; `None` if there is no lower one.
pub fn below(phase: Phase) -> Option<Phase> {
    Phase::ALL.into_iter().rev().find(|lower| *lower < phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens_at(times: &[u64]) -> Option<usize> {
        let mut breaker = Breaker::default();
        times.iter().position(|now| breaker.failed(*now))
    }

    #[test]
    fn five_in_a_minute_are_too_many() {
        assert_eq!(opens_at(&[0, 1000, 2000, 3000, 4000]), Some(4));
        assert_eq!(opens_at(&[0, 15_000, 30_000, 45_000, 60_000]), Some(4));
        assert_eq!(opens_at(&[0, 15_001, 30_000, 45_000, 60_001]), None, "the first is too long ago");
        assert_eq!(opens_at(&[0; 100]), None, "a burst is one");
        assert_eq!(opens_at(&[0, 999, 1000, 1999, 2000, 2999, 3000, 3999]), None, "one a second");
    }

    #[test]
    fn it_begins_anew_once_it_was_open() {
        let mut breaker = Breaker::default();
        let opened = (0..20).filter(|s| breaker.failed(s * 1000)).count();
        assert_eq!(opened, 4);
        (0..4).for_each(|s| assert!(!breaker.failed(100_000 + s * 1000)));
        breaker.reset();
        assert!(!breaker.failed(104_000));
    }

    #[test]
    fn every_format_that_was_shipped_is_read() {
        let opened = Opened::parse(include_bytes!("../../../tests/fixtures/state/1/breaker.json")).unwrap();
        assert_eq!(
            opened.to_string(),
            "the middleware took this node from rust-full to rust-sdn at 2026-11-25T04:12:26Z: the outcome of a \
             write is unknown: timeout (operation 20261125-041226-1588-0-fb81b3dffb80fb71)"
        );
        assert_eq!(Opened::parse(&serde_json::to_vec(&opened).unwrap()), Some(opened.clone()));
        assert!(opened.holds(Some(Phase::RustSdn)) && opened.holds(Some(Phase::PerlOnly)));
        assert!(!opened.holds(Some(Phase::RustFull)), "raised since");
        assert!(!opened.holds(None));
        for bad in [&b""[..], b"{}", b"{\"schema_version\":2}"] {
            assert_eq!(Opened::parse(bad), None);
        }
    }

    #[test]
    fn one_phase_down() {
        assert_eq!(below(Phase::RustFull), Some(Phase::RustSdn));
        assert_eq!(below(Phase::RustReadOnly), Some(Phase::PerlOnly));
        assert_eq!(below(Phase::PerlOnly), None);
    }
}
