//! Runs cases on several machines at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Instant;

use host::Result;

use crate::case::Case;
use crate::run::{Setting, Verdict, run};

/// Runs all cases, `jobs` at a time, and hands over what comes of each as it comes. None is begun
/// after `until`.
pub fn all(
    setting: &Setting,
    cases: &[Case],
    jobs: usize,
    until: Option<Instant>,
    mut done: impl FnMut(Case, Result<Verdict>),
) {
    let next = AtomicUsize::new(0);
    let (sender, verdicts) = channel();
    let in_time = || until.is_none_or(|until| Instant::now() < until);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            let (own, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while in_time()
                    && let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    // The receiver lives as long as this scope.
                    let _ = own.send((case.clone(), run(setting, case)));
                }
            });
        }
        drop(sender);
        for (case, verdict) in verdicts {
            done(case, verdict);
        }
    });
}
