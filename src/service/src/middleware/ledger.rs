//! What is kept of each decision: a line, counters, and how often Rust failed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use history::Store;
use host::files::{self, Attributes};
use host::{Clock, Error, Result};
use migration::breaker::Opened;
use migration::decision::{Answered, Decision, SCHEMA_VERSION};
use migration::flow::Cause;
use migration::{Breaker, Operation, Standing, breaker};
use phase::{Phase, Switch, Who, Wish};

use super::log::Log;
use super::metrics::{Metrics, OTHER};
use super::watch::Watch;

/// For other writers, one of which may be the very write that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// For the last lines of the log, once everything is answered.
const END: Duration = Duration::from_secs(1);

/// The books.
pub(crate) struct Ledger {
    store: Store,
    switch: Switch,
    watch: Watch,
    pub metrics: Metrics,
    log: Log,
    began: Instant,
    breaker: Mutex<Breaker>,
    /// The highest phase (its place in `Phase::ALL`) that this process goes by, whatever the disk says:
    /// lowered at once, lifted when the ceiling on disk is as low.
    cap: AtomicUsize,
}

/// What is to be said of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub method: &'static str,
    pub operation: Option<Operation>,
    pub phase: Phase,
    pub backend: Answered,
    /// Why Perl answered for Rust.
    pub fallback: Option<Cause>,
    pub reason: &'static str,
    pub status: u16,
    pub unknown: bool,
}

impl Ledger {
    pub(crate) fn new(store: Store, switch: Switch, watch: Watch, metrics: Metrics, log: Log) -> Self {
        Self {
            store,
            switch,
            watch,
            metrics,
            log,
            began: Instant::now(),
            breaker: Mutex::default(),
            cap: AtomicUsize::new(Phase::ALL.len()),
        }
    }

    /// What holds now for a request.
    pub(crate) fn standing(&self) -> Standing {
        let standing = self.watch.seen().standing();
        let cap = Phase::ALL.get(self.cap.load(Ordering::Relaxed)).copied().unwrap_or(standing.phase);
        Standing { phase: standing.phase.min(cap), ..standing }
    }

    /// An id that nobody can guess, in the journal's form.
    pub(crate) fn new_id(&self) -> String {
        let mut random = [0u8; 8];
        // It fails where the kernel has no randomness to give, which is never; then the id is guessable.
        let _ = rustls::crypto::ring::default_provider().secure_random.fill(&mut random);
        format!("{}-{}", history::new_id(&self.store), files::hex(&random))
    }

    /// Notes a request that is answered; `id` and `began` are its own.
    pub(crate) fn note(&self, id: &str, began: Instant, entry: Entry) {
        let operation = entry.operation.map_or(OTHER, Operation::as_str);
        self.metrics.answered(entry.backend, operation, entry.status, entry.unknown);
        let fallback = entry.fallback.filter(|cause| cause.is_fallback());
        if let Some((operation, cause)) = entry.operation.zip(fallback) {
            self.metrics.fell_back(operation, cause);
        }
        if entry.unknown {
            self.metrics.unknown.inc();
        }
        if !self.watch.seen().migration.log_migration_decisions {
            return;
        }
        let took = began.elapsed();
        let decision = Decision {
            schema_version: SCHEMA_VERSION,
            time: rfc3339(SystemTime::now().checked_sub(took).unwrap_or(UNIX_EPOCH)),
            operation_id: id.to_owned(),
            method: entry.method,
            route: entry.operation.map_or("(refused)", Operation::template),
            phase: entry.phase,
            backend: entry.backend,
            used_fallback: fallback.is_some(),
            reason: entry.reason,
            status: entry.status,
            ms: took.as_millis().try_into().unwrap_or(u64::MAX),
        };
        self.log.write(decision.line());
    }

    /// Before the process ends: what was answered stands in the log.
    pub(crate) fn end(&self) {
        self.log.flush(END);
    }

    /// Rust failed, in this phase; nobody was harmed.
    pub(crate) fn failed(self: &std::sync::Arc<Self>, phase: Phase, cause: Cause, id: &str) {
        if !cause.is_failure() {
            return;
        }
        let now = self.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let open = self.breaker.lock().unwrap_or_else(PoisonError::into_inner).failed(now);
        if open {
            let many = breaker::LIMIT;
            let why = format!("Rust failed {many} times within a minute, the last time: {}", cause.as_str());
            self.lower(phase, why, id);
        }
    }

    /// Nobody can say what became of a write.
    pub(crate) fn uncertain(self: &std::sync::Arc<Self>, phase: Phase, cause: Cause, id: &str) {
        self.lower(phase, format!("the outcome of a write is unknown: {}", cause.as_str()), id);
    }

    /// Takes this node below `phase`, in which Rust failed.
    fn lower(self: &std::sync::Arc<Self>, phase: Phase, why: String, id: &str) {
        let Some(to) = breaker::below(phase) else { return };
        let place = Phase::ALL.into_iter().position(|p| p == to).unwrap_or(0);
        // Somebody has lowered it since, on disk or in another task of ours.
        if self.watch.seen().standing().phase <= to || self.cap.fetch_min(place, Ordering::Relaxed) <= place {
            return;
        }
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).reset();
        self.metrics.opened.inc();
        tracing::error!("this node goes from {phase} to {to}: {why} (operation {id})");
        let (ledger, id) = (self.clone(), id.to_owned());
        tokio::task::spawn_blocking(move || match ledger.write(phase, to, &why, &id) {
            Ok(()) => {
                // The disk says it now; what an operator raises later must count again.
                ledger.watch.read_now();
                std::thread::sleep(Duration::from_millis(500));
                ledger.cap.store(Phase::ALL.len(), Ordering::Relaxed);
            }
            Err(error) => tracing::error!("{error}; the middleware goes by {to} until it is restarted"),
        });
    }

    fn write(&self, from: Phase, to: Phase, why: &str, id: &str) -> Result<()> {
        // A write that hangs may hold it for ever. Going down must not wait for that: the ceiling is
        // replaced as a whole, and the history has a lock of its own.
        let _lock = self.store.lock(PATIENCE).inspect_err(|e| tracing::warn!("{e}; lowering the ceiling without it"));
        let state = Opened {
            schema_version: breaker::FORMAT,
            time: self.store.clock.now().to_string(),
            from,
            to,
            why: why.to_owned(),
            operation: id.to_owned(),
        };
        let wrote = serde_json::to_vec(&state)
            .map_err(|e| Error::new(e.to_string()))
            .and_then(|text| files::replace(&self.state_file(), &text, &Attributes::mode(0o644)));
        if let Err(error) = wrote {
            tracing::warn!("{error}; 'migration-ctl phase history' knows of it all the same");
        }
        let why = format!("{why} (operation {id})");
        let done =
            self.switch.change(Wish::Lower { to }, None, Who::here("pve-network-migration"), why, Clock::System)?;
        if let Some(error) = done.cluster {
            tracing::warn!("this node's ceiling is {to}; migration.toml is not changed: {error}");
        }
        for error in done.unrecorded {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn state_file(&self) -> PathBuf {
        self.store.path(breaker::FILE)
    }
}

/// UTC with milliseconds.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = host::Timestamp::from_seconds(since.as_secs().try_into().unwrap_or(i64::MAX)).to_string();
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        let time = UNIX_EPOCH + Duration::from_millis(1_767_323_045_006);
        assert_eq!(rfc3339(time), "2026-01-02T03:04:05.006Z");
    }
}
