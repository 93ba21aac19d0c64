//! Runs cases on several machines at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use host::Result;

use crate::case::Case;
use crate::run::{Setting, Verdict, run};

/// Runs all cases, `jobs` at a time, and hands over what comes of each as it comes.
pub fn all(setting: &Setting, cases: &[Case], jobs: usize, mut done: impl FnMut(Case, Result<Verdict>)) {
    let next = AtomicUsize::new(0);
    let (sender, verdicts) = channel();
    let sender = Mutex::new(sender);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, cases.len().max(1)) {
            let own = match sender.lock() {
                Ok(sender) => sender.clone(),
                Err(poisoned) => poisoned.into_inner().clone(),
            };
            let next = &next;
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // The receiver lives as long as this scope.
                    let _ = own.send((case.clone(), run(setting, case)));
                }
            });
        }
        for _ in cases {
            match verdicts.recv() {
                Ok((case, verdict)) => done(case, verdict),
                Err(_) => break,
            }
        }
    });
}
