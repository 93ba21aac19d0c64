//! Every threshold, in one place. None can be set: a gate that can be tuned is tuned on the evening before.
//! docs/canary.md says the same in words.

use phase::Phase;

use super::ask::Window;

/// How long a node has to be clean, in seconds, before it may go to `wanted`: nothing runs in Rust before
/// `rust-read-only`, so there is nothing to be clean; then a day; then a week for each step.
pub const fn needed(wanted: Phase) -> i64 {
    match wanted {
        Phase::PerlOnly | Phase::RustReadOnly => 0,
        Phase::RustBasicWrite => DAY,
        Phase::RustAdvanced | Phase::RustSdn | Phase::RustFull => 7 * DAY,
    }
}

/// The time that is looked at.
pub const fn window(wanted: Phase, now: i64) -> Window {
    Window { from: now - needed(wanted), to: now }
}

/// Seconds.
pub const DAY: i64 = 86_400;

/// Of the scrapes that the usual interval lets expect, this share has to be there.
pub const COVERAGE: f64 = 0.99;

/// No time without a scrape may be longer: four usual intervals, but not less than this, in milliseconds.
pub const GAP: i64 = 120_000;

/// A node that is scraped more seldom than this, in milliseconds, is not watched.
pub const SELDOM: i64 = 120_000;

/// Clocks may differ by this, in milliseconds.
pub const SKEW: i64 = 10_000;

/// A request may take this long, in seconds, from its line's time to the counter: 60 s for a write, 10 s to find out
/// what became of it, and a client that sends slowly.
pub const EDGE: i64 = 120;

/// Fewer requests answered by Rust say nothing.
pub const LEAST_REQUESTS: u64 = 100;

/// Fewer applies by Rust within the time looked at can't be compared.
pub const LEAST_RUST: usize = 20;

/// Fewer applies by Perl are no baseline.
pub const LEAST_PERL: usize = 10;

/// What Perl took longer ago, in seconds, is no baseline for the network of today.
pub const BASELINE_AGE: i64 = 90 * DAY;

/// A report of contract-test that is older, in seconds, is stale.
pub const CONTRACT_AGE: i64 = DAY;

/// What Prometheus says of another node's phase may be this old, in seconds.
pub const FRESH: i64 = 300;
