//! What Prometheus sees. Every series exists from the first scrape on, at 0: a series that appears with
//! its first failure has no increase that `increase()` could see. No label holds what a caller sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use history::journal::Backend;
use migration::Operation;
use migration::decision::Answered;
use migration::flow::Cause;
use phase::Phase;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// What is not the network API's.
pub(crate) const OTHER: &str = "other";

/// How a request ended, by the status of its answer.
const OUTCOMES: [&str; 4] = ["ok", "client-error", "error", "unknown"];

/// Upper bounds of the apply histogram, in seconds: an apply takes from half a second to minutes.
const BUCKETS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0];

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    fallbacks: IntCounterVec,
    applies: HistogramVec,
    phase: IntGauge,
    phase_known: IntGauge,
    pending: IntGauge,
    key_expiry: Gauge,
    /// Writes of unknown outcome.
    pub unknown: IntCounter,
    /// How often the breaker opened.
    pub opened: IntCounter,
    /// Lines of `migration.log` that could not be written.
    pub dropped: IntCounter,
}

impl Metrics {
    /// # Errors
    /// A metric of ours is not well-formed, which a test would have found.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("pve_network_requests_total", "Requests, by who answered, operation and outcome."),
            &["backend", "operation", "outcome"],
        )?;
        let fallbacks = IntCounterVec::new(
            Opts::new("pve_network_fallback_total", "Requests that Perl answered because Rust failed."),
            &["operation", "reason"],
        )?;
        let applies = HistogramVec::new(
            HistogramOpts::new(
                "pve_network_apply_duration_seconds",
                "How long applies of the network configuration took, from the operation journal.",
            )
            .buckets(BUCKETS.to_vec()),
            &["backend"],
        )?;
        let counter = |name: &str, help: &str| IntCounter::new(name, help);
        let metrics = Self {
            requests,
            fallbacks,
            applies,
            phase: IntGauge::new("pve_network_phase", "Phase in effect: 0 is perl-only, 5 is rust-full.")?,
            phase_known: IntGauge::new("pve_network_phase_known", "1 if the phase was read within the last 10 s.")?,
            pending: IntGauge::new(
                "pve_network_pending_restore_files",
                "Files that a restore still has to write, after an interruption or for want of quorum; -1 if not known.",
            )?,
            key_expiry: Gauge::new(
                "pve_network_key_expiry_timestamp_seconds",
                "Until when the package's next version can be signed by a key that counts here, in seconds since the \
                 epoch; 0 if by none any more, +Inf without end, NaN if not known or if no signature is asked for.",
            )?,
            unknown: counter("pve_network_outcome_unknown_total", "Writes that were answered 504 outcome unknown.")?,
            opened: counter("pve_network_breaker_opened_total", "Times that the middleware lowered the ceiling.")?,
            dropped: counter(
                "pve_network_migration_log_dropped_total",
                "Lines of migration.log that could not be written.",
            )?,
            registry,
        };
        let build = IntGaugeVec::new(Opts::new("pve_network_build_info", "1, with the version."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let start = Gauge::new("process_start_time_seconds", "When the process started, in seconds since the epoch.")?;
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64()));
        let all: [Box<dyn Collector>; 12] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.fallbacks.clone()),
            Box::new(metrics.applies.clone()),
            Box::new(metrics.phase.clone()),
            Box::new(metrics.phase_known.clone()),
            Box::new(metrics.pending.clone()),
            Box::new(metrics.key_expiry.clone()),
            Box::new(metrics.unknown.clone()),
            Box::new(metrics.opened.clone()),
            Box::new(metrics.dropped.clone()),
            Box::new(build),
            Box::new(start),
        ];
        for one in all {
            metrics.registry.register(one)?;
        }
        metrics.key_expiry.set(f64::NAN);
        metrics.begin_at_zero();
        Ok(metrics)
    }

    fn begin_at_zero(&self) {
        let operations = || Operation::ALL.map(Operation::as_str).into_iter().chain([OTHER]);
        for backend in [Answered::Rust, Answered::Perl, Answered::None] {
            for operation in operations() {
                for outcome in OUTCOMES {
                    let _ = self.requests.with_label_values(&[backend.as_str(), operation, outcome]);
                }
            }
        }
        for operation in Operation::ALL {
            for cause in Cause::ALL.into_iter().filter(|cause| cause.is_fallback()) {
                let _ = self.fallbacks.with_label_values(&[operation.as_str(), cause.as_str()]);
            }
        }
        for backend in ["rust", "legacy", "restore"] {
            let _ = self.applies.with_label_values(&[backend]);
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, backend: Answered, operation: &'static str, status: u16, unknown: bool) {
        let outcome = match status {
            _ if unknown => "unknown",
            ..400 => "ok",
            400..500 => "client-error",
            _ => "error",
        };
        self.requests.with_label_values(&[backend.as_str(), operation, outcome]).inc();
    }

    /// Perl answered because Rust failed.
    pub(crate) fn fell_back(&self, operation: Operation, cause: Cause) {
        self.fallbacks.with_label_values(&[operation.as_str(), cause.as_str()]).inc();
    }

    /// So many files wait to be restored; none: nobody can say.
    pub(crate) fn pending(&self, files: Option<usize>) {
        self.pending.set(files.and_then(|files| i64::try_from(files).ok()).unwrap_or(-1));
    }

    /// The keys' end is this, in seconds since the epoch; infinite without one, NaN if not known.
    pub(crate) fn keys_end(&self, at: f64) {
        self.key_expiry.set(at);
    }

    /// An apply is over.
    pub(crate) fn applied(&self, backend: Backend, took: Duration) {
        let backend = match backend {
            Backend::Rust => "rust",
            Backend::Legacy => "legacy",
            Backend::Restore => "restore",
        };
        self.applies.with_label_values(&[backend]).observe(took.as_secs_f64());
    }

    /// What is served at `/metrics`.
    pub(crate) fn text(&self, phase: Phase, known: bool) -> Vec<u8> {
        let number = Phase::ALL.into_iter().position(|p| p == phase).unwrap_or(0);
        self.phase.set(i64::try_from(number).unwrap_or(0));
        self.phase_known.set(known.into());
        let mut text = Vec::new();
        // It writes to memory; what it could not name it leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_there_from_the_first_scrape_and_never_more() {
        let metrics = Metrics::new().unwrap();
        let text = String::from_utf8(metrics.text(Phase::RustSdn, true)).unwrap();
        for line in [
            r#"pve_network_requests_total{backend="rust",operation="list",outcome="ok"} 0"#,
            r#"pve_network_requests_total{backend="none",operation="other",outcome="unknown"} 0"#,
            r#"pve_network_fallback_total{operation="create",reason="refused"} 0"#,
            r#"pve_network_apply_duration_seconds_count{backend="legacy"} 0"#,
            "pve_network_phase 4",
            "pve_network_pending_restore_files 0",
            "pve_network_breaker_opened_total 0",
            concat!("pve_network_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in {text}");
        }
        assert!(!text.contains("not-handled"), "what Rust does not do yet is no fallback");
        let series = text.lines().count();
        for operation in Operation::ALL {
            for cause in Cause::ALL.into_iter().filter(|c| c.is_fallback()) {
                metrics.fell_back(operation, cause);
            }
            for status in [101, 200, 404, 500, 504] {
                metrics.answered(Answered::Rust, operation.as_str(), status, status == 504);
            }
        }
        metrics.applied(Backend::Rust, Duration::from_secs(3));
        metrics.pending(None);
        let text = String::from_utf8(metrics.text(Phase::PerlOnly, false)).unwrap();
        assert_eq!(text.lines().count(), series);
        assert!(text.contains("pve_network_pending_restore_files -1\n"), "{text}");
        assert!(text.contains(r#"apply_duration_seconds_bucket{backend="rust",le="3"} 1"#), "{text}");
    }
}
