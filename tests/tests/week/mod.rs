//! A week that a canary has had: its files, and what Prometheus scraped meanwhile, back-filled by promtool.

use std::fmt::Write as _;

use history::journal::{Backend, Event, Outcome, Written};
use host::{Timestamp, files};
use phase::{Phase, Setting, Step, Who};
use rig::ours::like_a_pve_node;
use rig::{Machine, Node, Suite};

pub const STATE: &str = "/var/lib/pve-network-rs";
pub const LOG: &str = "/var/log/pve-network/migration.log";
pub const DATA: &str = "/var/lib/prometheus/metrics2";
const DAY: i64 = 86_400;
const SCRAPE: i64 = 60;

/// The root that other tests with a Prometheus stand on as well.
const PACKAGES: &[&str] = &["curl", "ifupdown2", "prometheus"];

/// The node after its week, with this package, booted, Prometheus running.
pub fn after(week: &Week, deb: &[u8]) -> Node {
    let node = Node::with_packages(Suite::Bookworm, PACKAGES).named(week.name);
    like_a_pve_node(&node);
    node.write("/root/x.deb", deb);
    node.run(["dpkg", "-i", "/root/x.deb"]).ok();
    week.write(&node);
    // What it scrapes by itself has no part in this.
    node.write("/etc/prometheus/prometheus.yml", "global: { scrape_interval: 15s }\nscrape_configs: []\n");
    node.write("/root/week.om", week.metrics());
    node.sh(&format!(
        "rm -rf {DATA}; mkdir -p {DATA}; promtool tsdb create-blocks-from openmetrics --max-block-duration=24h /root/week.om {DATA} >/root/blocks && chown -R prometheus: {DATA}"
    ))
    .ok();
    let node = node.boot();
    node.sh("ip link set lo up 2>/dev/null || true; systemctl restart prometheus").ok();
    let ready = "curl --silent --fail --retry 50 --retry-delay 1 --retry-connrefused http://127.0.0.1:9090/-/ready";
    node.sh(ready).ok();
    node
}

/// The present, in seconds since the epoch; a minute is whole, so that counts are easily told.
pub struct Week {
    pub now: i64,
    /// The canary, and its phase.
    pub name: &'static str,
    pub phase: Phase,
    /// Who goes before it, and is at this phase.
    pub ahead: Option<(&'static str, Phase)>,
}

impl Week {
    /// A week of the first canary's in this phase that ends now.
    pub fn until_now(phase: Phase) -> Self {
        Self { now: host::Clock::System.now().seconds() / 60 * 60, name: "pve1", phase, ahead: None }
    }

    /// Writes what the node has.
    pub fn write(&self, node: &impl Machine) {
        let (name, phase) = (self.name, self.phase);
        let ahead =
            self.ahead.map_or_else(String::new, |(name, phase)| format!("[nodes.{name}]\nphase = \"{phase}\"\n"));
        node.write(
            "/etc/pve/network/migration.toml",
            format!(
                "phase = \"perl-only\"\n{ahead}[nodes.{name}]\nphase = \"{phase}\"\n[canary]\norder = [\"pve1\", \"pve2\"]\n\
                 prometheus = \"http://127.0.0.1:9090\"\n"
            ),
        );
        node.write(&format!("{STATE}/ceiling"), format!("{phase}\n"));
        node.write(&format!("{STATE}/phase-history.jsonl"), self.history());
        node.write(&format!("{STATE}/operations.jsonl"), self.journal(&node.text("/etc/network/interfaces")));
        node.write(LOG, self.log());
        node.write("/var/log/pve-network/contract-test.json", self.contract());
    }

    fn history(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let steps = Phase::ALL.into_iter().take_while(|p| *p <= self.phase);
        let mut from: Option<Phase> = None;
        let mut at = self.now - 9 * DAY * (1 + self.phase as i64);
        for to in steps {
            at += 9 * DAY;
            let id = format!("step-{to}");
            let step = from.map(|from| Step { node: self.name.into(), from, to });
            let setting =
                Setting { key: "ceiling".into(), from: from.map(|p| p.to_string()), to: Some(to.to_string()) };
            let change = phase::Event::Change {
                id: id.clone(),
                node: self.name.into(),
                by: Box::new(Who { tool: "migration-ctl".into(), ..Who::default() }),
                why: "promoted".into(),
                steps: step.into_iter().collect(),
                changes: vec![setting],
                overridden: None,
            };
            let done = phase::Event::Outcome { id, outcome: phase::Outcome::Done, error: None };
            for event in [change, done] {
                let line = phase::record::append(&out, at - 9 * DAY + 60, event);
                out.extend(line);
            }
            from = Some(to);
        }
        out
    }

    /// Applies by Rust, each five hours; and the baseline a month before.
    fn applies(&self) -> Vec<(i64, Backend, u64)> {
        let perl = (0..12).map(|n| (self.now - 30 * DAY + n * 60, Backend::Legacy, 400 + 4 * n as u64));
        let count = if self.phase >= Phase::RustBasicWrite { 30 } else { 0 };
        let rust = (0..count).map(|n| (self.now - 7 * DAY + (3 + 5 * n) * 3600, Backend::Rust, 405 + 2 * n as u64));
        perl.chain(rust).collect()
    }

    fn journal(&self, interfaces: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let digest = files::sha256(interfaces.as_bytes());
        for (number, (time, backend, duration_ms)) in self.applies().into_iter().enumerate() {
            let rust = backend == Backend::Rust;
            let written = Written { before: format!("before {number}"), after: digest.clone() };
            let begin = Event::Begin {
                id: format!("op-{number}"),
                time: time - 1,
                backend,
                tool: if rust { "pvenet".into() } else { "pvenet-legacy".into() },
                phase: self.phase.to_string(),
                snapshot: None,
                transaction: None,
                paths: rust.then(|| ("/etc/network/interfaces".into(), written)).into_iter().collect(),
            };
            let end = Event::End { id: format!("op-{number}"), time, duration_ms, outcome: Outcome::Done };
            for event in [begin, end] {
                out.extend(serde_json::to_vec(&event).unwrap());
                out.push(b'\n');
            }
        }
        out
    }

    /// Requests, each a quarter past: five to Rust, two to Perl.
    fn requests(&self) -> Vec<(i64, &'static str)> {
        let hours = (self.now - 8 * DAY) / 3600..=self.now / 3600;
        let of_hour = |hour: i64| {
            let at = hour * 3600 + 15 * 60;
            ["rust", "rust", "rust", "rust", "rust", "perl", "perl"]
                .into_iter()
                .enumerate()
                .map(move |(n, by)| (at + n as i64, by))
        };
        hours.flat_map(of_hour).filter(|(at, _)| *at < self.now - 300).collect()
    }

    fn log(&self) -> Vec<u8> {
        let mut out = String::new();
        for (at, backend) in self.requests() {
            let time = Timestamp::from_seconds(at).to_string().replace('Z', ".250Z");
            let _ = writeln!(
                out,
                "{{\"schema_version\":1,\"time\":\"{time}\",\"operation_id\":\"o{at}\",\"method\":\"GET\",\
                 \"route\":\"/nodes/{{node}}/network\",\"phase\":\"{}\",\"backend\":\"{backend}\",\"used_fallback\":false,\
                 \"reason\":\"phase\",\"status\":200,\"ms\":3}}",
                self.phase
            );
        }
        out.into_bytes()
    }

    fn contract(&self) -> String {
        format!(
            r#"{{"schema_version":1,"node":"{}","perl_url":"https://127.0.0.1:8006","started":{},"seed":1,"verdict":"equal","endpoints":[{{"endpoint":"/nodes/pve1/network","verdict":"equal","why":null,"differences":[],"suppressed":[],"perl_ms":[9.0],"rust_ms":[3.0]}}]}}"#,
            self.name,
            self.now - 3600
        )
    }

    /// What was scraped, as OpenMetrics: what promtool makes blocks from.
    pub fn metrics(&self) -> String {
        let of = |name: &str| format!(r#"job="pve-network",node="{name}",instance="127.0.0.1:9187""#);
        let labels = of(self.name);
        let (requests, applies) = (self.requests(), self.applies());
        let start = self.now - 8 * DAY;
        let times: Vec<i64> = (start..=self.now).step_by(SCRAPE as usize).collect();
        let mut out = String::new();
        let mut series = |name: &str, more: &str, value: &dyn Fn(i64) -> f64| {
            for at in &times {
                let _ = writeln!(out, "{name}{{{labels}{more}}} {} {at}", value(*at));
            }
        };
        let number = self.phase as i64 as f64;
        series("up", "", &|_| 1.0);
        series("process_start_time_seconds", "", &|_| (start - 5) as f64);
        series("pve_network_phase", "", &|_| number);
        series("pve_network_phase_known", "", &|_| 1.0);
        series("pve_network_build_info", ",version=\"0.1.0\"", &|_| 1.0);
        for backend in ["rust", "perl", "none"] {
            let count = |at: i64| requests.iter().filter(|(t, by)| *t <= at && *by == backend).count() as f64;
            let outcome = if backend == "none" { "error" } else { "ok" };
            series(
                "pve_network_requests_total",
                &format!(",backend=\"{backend}\",operation=\"list\",outcome=\"{outcome}\""),
                &count,
            );
        }
        series("pve_network_fallback_total", ",operation=\"list\",reason=\"timeout\"", &|_| 0.0);
        series("pve_network_outcome_unknown_total", "", &|_| 0.0);
        series("pve_network_breaker_opened_total", "", &|_| 0.0);
        series("pve_network_migration_log_dropped_total", "", &|_| 0.0);
        for (name, of) in [("rust", Backend::Rust), ("legacy", Backend::Legacy)] {
            let done = |at: i64| applies.iter().filter(move |(t, by, _)| *t <= at && *by == of);
            series("pve_network_apply_duration_seconds_count", &format!(",backend=\"{name}\""), &|at| {
                done(at).count() as f64
            });
            let sum = |at: i64| done(at).map(|(_, _, ms)| *ms as f64 / 1000.0).sum::<f64>();
            series("pve_network_apply_duration_seconds_sum", &format!(",backend=\"{name}\""), &sum);
        }
        if let Some((name, phase)) = self.ahead {
            for (series, value) in [("up", 1), ("pve_network_phase", phase as i64), ("pve_network_phase_known", 1)] {
                for at in &times {
                    let _ = writeln!(out, "{series}{{{}}} {value} {at}", of(name));
                }
            }
        }
        out.push_str("# EOF\n");
        out
    }
}
