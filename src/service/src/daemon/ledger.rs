//! Which operations run, and which may not begin any more.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many ids of the past are remembered. A caller asks within minutes; a write takes milliseconds.
const REMEMBERED: usize = 10_000;

/// Of this process; what earlier ones did is in the journal alone, and what they had received died with them.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    running: BTreeSet<String>,
    /// Begun or fenced, so never to be begun again.
    spent: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Inner {
    /// False if it was spent already.
    fn spend(&mut self, id: &str) -> bool {
        if !self.spent.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.spent.remove(&oldest);
        }
        true
    }
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked elsewhere left nothing half done in here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is about to run, unless it did before or is fenced; whether it may.
    pub(super) fn begin(&self, id: &str) -> bool {
        let mut inner = self.inner();
        let first = inner.spend(id);
        if first {
            inner.running.insert(id.to_owned());
        }
        first
    }

    /// It runs until this is dropped.
    pub(super) fn running(&self, id: &str) -> Running<'_> {
        Running { ledger: self, id: id.to_owned() }
    }

    pub(super) fn is_running(&self, id: &str) -> bool {
        self.inner().running.contains(id)
    }

    /// It can't begin from here on; whether it runs already.
    pub(super) fn fence(&self, id: &str) -> bool {
        let mut inner = self.inner();
        inner.spend(id);
        inner.running.contains(id)
    }
}

/// While it lives, the operation runs.
pub(super) struct Running<'a> {
    ledger: &'a Ledger,
    id: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.ledger.inner().running.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_begins_once_and_not_after_its_fence() {
        let ledger = Ledger::default();
        assert!(ledger.begin("a"));
        assert!(ledger.is_running("a") && ledger.fence("a"), "it is too late to fence it");
        drop(ledger.running("a"));
        assert!(!ledger.is_running("a"));
        assert!(!ledger.begin("a"));
        assert!(!ledger.fence("b"));
        assert!(!ledger.begin("b"));
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let ledger = Ledger::default();
        (0..=REMEMBERED).for_each(|n| assert!(!ledger.fence(&n.to_string())));
        let inner = ledger.inner();
        assert_eq!((inner.spent.len(), inner.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!inner.spent.contains("0"));
    }
}
