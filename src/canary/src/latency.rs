//! Whether Rust's applies are slower than Perl's, from raw durations. Pure.
//!
//! The question is put the safe way round: not "is a difference shown?", to which few samples always answer no, but
//! "is it ruled out that Rust is slower by more than the margin?". All ratios of one Rust duration to one Perl
//! duration are put in order; the median is the Hodges-Lehmann estimate, and a confidence bound is the ratio at the
//! place that the Mann-Whitney statistic says (docs/decisions/0021). No form of the distribution is assumed, and a
//! reload that took a minute once moves nothing.

use serde::{Deserialize, Serialize};

/// Rust may take this much of Perl's time: what is slower is too slow.
pub const MARGIN: f64 = 1.25;

/// The one-sided normal quantile of 95 %, the confidence of both bounds.
const Z: f64 = 1.644_853_6;

/// At most so many samples of each, the latest: a quarter of a million ratios take a moment.
pub const MOST: usize = 500;

/// How Rust's durations compare with Perl's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rust's time for one of Perl's, the best guess.
    pub estimate: f64,
    /// With 95 % confidence it is no less than this.
    pub lower: f64,
    /// With 95 % confidence it is no more than this.
    pub upper: f64,
}

/// What that says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Slower by more than the margin is ruled out.
    Fine,
    /// It is slower, and by the best guess by more than the margin.
    Slower,
    /// Neither is shown.
    Open,
}

impl Comparison {
    /// Judges it against [`MARGIN`].
    pub fn speed(&self) -> Speed {
        if self.upper < MARGIN {
            Speed::Fine
        } else if self.lower > 1.0 && self.estimate >= MARGIN {
            Speed::Slower
        } else {
            Speed::Open
        }
    }
}

/// Compares durations in milliseconds; `None` if there are too few to bound anything.
pub fn compare(rust: &[u64], perl: &[u64]) -> Option<Comparison> {
    let latest = |all: &[u64]| -> Vec<f64> {
        #[allow(clippy::cast_precision_loss, reason = "2^53 ms are longer than any apply")]
        all[all.len().saturating_sub(MOST)..].iter().map(|ms| (*ms).max(1) as f64).collect()
    };
    let (rust, perl) = (latest(rust), latest(perl));
    let pairs = rust.len() * perl.len();
    #[allow(clippy::cast_precision_loss, reason = "at most a quarter of a million")]
    let (m, n, all) = (rust.len() as f64, perl.len() as f64, pairs as f64);
    let place = (all / 2.0 - Z * (all * (m + n + 1.0) / 12.0).sqrt()).floor();
    if place < 1.0 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and half of the pairs")]
    let place = place as usize;
    let mut ratios: Vec<f64> = rust.iter().flat_map(|r| perl.iter().map(move |p| r / p)).collect();
    let mut at = |index: usize| *ratios.select_nth_unstable_by(index, f64::total_cmp).1;
    let (lower, upper) = (at(place - 1), at(pairs - place));
    let estimate = if pairs % 2 == 1 { at(pairs / 2) } else { f64::midpoint(at(pairs / 2 - 1), at(pairs / 2)) };
    Some(Comparison { estimate, lower, upper })
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
