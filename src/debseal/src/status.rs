//! `debseal status`: is every policy readable, does every key still count, and for how long; do dpkg
//! and apt ask the gate.

use std::time::{Duration, SystemTime};

use host::{Error, Kind, Root};
use seal::policy;
use serde::Serialize;

use crate::cli::{Format, PolicyMode, StatusArgs};
use crate::gate::allow::{self, Allowed};
use crate::key::{self, Known};
use crate::{Outcome, output};

/// What makes dpkg and apt ask, as the package `debseal` ships it.
const SNIPPETS: [(&str, &str); 2] =
    [("dpkg", "/etc/dpkg/dpkg.cfg.d/debseal"), ("apt", "/etc/apt/apt.conf.d/20debseal")];

#[derive(Serialize)]
struct Answer {
    schema_version: u32,
    policies: Vec<Policy>,
    keys: Vec<Known>,
    /// Programs that ask the gate.
    gates: Vec<&'static str>,
    allowed: Vec<Allowed>,
    problems: Vec<String>,
    /// Nobody knows what is checked while a policy file can't be read.
    #[serde(skip)]
    readable: bool,
}

#[derive(Serialize)]
struct Policy {
    package: String,
    file: String,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_version: Option<String>,
}

pub(crate) fn run(args: &StatusArgs) -> Outcome {
    let root = Root::at(&args.root);
    let now = SystemTime::now();
    let mut errors = Vec::new();
    let (mut policies, mut keys) = (Vec::new(), Vec::new());
    let refused = |why: Error| why.with_kind(Kind::SignatureRefused);
    let loaded = policy::load(&root);
    let readable = loaded.is_ok();
    match loaded {
        Err(error) => errors.push(refused(error).way_out("its packages can't be installed until this is mended")),
        Ok(all) => {
            for policy in all {
                match key::known(&root, &policy, now) {
                    Ok(known) => {
                        if known.iter().all(|key| key.defect.is_some()) {
                            let why =
                                format!("no key of package {} counts: no version of it can be installed", policy.name);
                            errors.push(Error::of(Kind::SignatureRefused, why).way_out("debseal key add"));
                        }
                        keys.extend(known);
                    }
                    Err(error) => errors.push(refused(error)),
                }
                policies.push(Policy {
                    package: policy.name,
                    file: policy.file.display().to_string(),
                    mode: if PolicyMode::from(policy.mode) == PolicyMode::Warn { "warn" } else { "enforce" },
                    minimum_version: policy.minimum_version,
                });
            }
        }
    }
    let soon = now + Duration::from_secs(args.days * 24 * 3600);
    for key in &keys {
        if let Some(defect) = &key.defect {
            errors.push(Error::of(Kind::SignatureRefused, format!("{}: {defect}", key.package)));
        } else if key.ends.is_some_and(|end| end <= soon) {
            let day = key.expires.as_deref().unwrap_or_default();
            errors.push(
                Error::new(format!(
                    "{}: key {} expires on {}",
                    key.package,
                    key.fingerprint,
                    &day[..10.min(day.len())]
                ))
                .way_out("ask its maker for the extended certificate or its successor: debseal key add"),
            );
        }
    }
    let gates: Vec<&str> =
        SNIPPETS.iter().filter(|(_, file)| root.path(file).is_file()).map(|(name, _)| *name).collect();
    if gates.len() < SNIPPETS.len() && !policies.is_empty() {
        let missing =
            SNIPPETS.iter().find(|(name, _)| !gates.contains(name)).map(|(_, file)| *file).unwrap_or_default();
        errors.push(
            Error::new(format!("{missing} is not there: nothing is checked before it is unpacked"))
                .way_out("apt-get install --reinstall -o Dpkg::Options::=--force-confmiss debseal"),
        );
    }
    let problems = errors.iter().map(ToString::to_string).collect();
    let answer =
        Answer { schema_version: 1, policies, keys, gates, allowed: allow::pending(&root), problems, readable };
    let out = match args.output {
        Format::Json => output::json(&answer).unwrap_or_else(|error| {
            errors.push(error);
            String::new()
        }),
        Format::Text => answer.text(),
    };
    Outcome { out, notes: Vec::new(), errors }
}

impl Answer {
    fn text(&self) -> String {
        let mut out = String::new();
        for policy in &self.policies {
            out += &format!("{}: {}, by {}", policy.package, policy.mode, policy.file);
            if let Some(minimum) = &policy.minimum_version {
                out += &format!(", not below {minimum}");
            }
            out += "\n";
            for key in self.keys.iter().filter(|key| key.package == policy.package) {
                out += &format!("  key {}\n", key.line().trim_start_matches(&format!("{}: ", policy.package)));
            }
        }
        if !self.readable {
            out += "the policies can't be read\n";
        } else if self.policies.is_empty() {
            out += "no policy names a package: nothing is checked\n";
        }
        let gates = if self.gates.is_empty() { "nobody".to_owned() } else { self.gates.join(", ") };
        out += &format!("asked by: {gates}\n");
        for allowed in &self.allowed {
            out += &format!(
                "allowed once: {} ({} {}) by {} on {}: {}\n",
                allowed.file, allowed.package, allowed.version, allowed.by, allowed.time, allowed.reason
            );
        }
        out
    }
}
