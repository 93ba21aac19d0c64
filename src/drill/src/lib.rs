//! `debseal-drill`: is it true that nothing is lost and nothing is stuck, whatever goes wrong?
//!
//! ```text
//!   subject   the package, its policy, and packages that come into its way
//!   flow ──► stage   layers that thousands of throw-away machines stand on
//!     │
//!   plan      scenarios (which scripts fail), found by running; places (every changing call × fault)
//!     │
//!   run       machine ► dpkg under trace ► the fault ► state ► heal ► state ► remove ► state ► purge
//!     │                   │ syscalls, recorder, durable          │
//!     └──► report         sabotage (for the drill's own tests)   invariants (pure)
//! ```
//!
//! A case has a name, `upgrade!prerm:upgrade/preinst:upgrade#17/kill-script`, and `--only` runs it
//! again. Nothing is stood in for: dpkg is dpkg, the scripts are the ones in the package, and a fault
//! comes from the kernel's side of a system call, by ptrace(2).
//!
//! It never runs a script of the package anywhere but on a throw-away machine, and is never shipped to a node.
//!
//! | to add | look at |
//! |---|---|
//! | something that dpkg is told to do | `flow` |
//! | something that goes wrong at a call | `fault` |
//! | something that the machine runs short of | `shortage` |
//! | something that a cluster does | `cluster` |
//! | something that has to hold | `invariants`, and what it needs to know in `state` |
//! | a kind of machine | `stage`, where layers are built |

#![deny(clippy::print_stderr, reason = "eprintln! panics where standard error is gone; note! does not")]

mod case;
pub mod cli;
mod cluster;
mod disk;
mod durable;
mod fault;
mod flow;
mod invariants;
mod machine;
mod plan;
mod pool;
mod recorder;
mod report;
mod run;
mod sabotage;
mod seed;
mod shortage;
mod stage;
mod state;
mod subject;
mod syscalls;
mod trace;
mod writer;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::cli::note;
use clap::Parser;
use host::{Error, IoContext, Result};
use indicatif::{ProgressBar, ProgressStyle};

use case::{Case, Scenario};
use cli::{Cli, Format};
use fault::Fault;
use flow::Flow;
use plan::Place;
use report::Report;
use run::Setting;
use stage::Stages;
use subject::Subject;

/// Runs the program with these arguments and prints what comes of it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if writer::is_meant(&args) {
        return writer::main(&args);
    }
    let cli = Cli::parse_from(args);
    let (answer, code) = match drill(&cli) {
        Ok((answer, true)) => (answer, 0),
        Ok((answer, false)) => (answer, 1),
        Err(error) => {
            note!("debseal-drill: {error}");
            return ExitCode::from(error.kind().exit_code());
        }
    };
    match std::io::stdout().lock().write_all(answer.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::from(code),
    }
}

/// What is to be said, and whether nothing broke.
fn drill(cli: &Cli) -> Result<(String, bool)> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::new("a drill makes machines and needs root").way_out("run it as root"));
    }
    let only: Option<Case> = cli.only.as_deref().map(str::parse).transpose()?;
    let flows: Vec<Flow> = match (&only, cli.flows.is_empty()) {
        (Some(case), _) => vec![case.scenario.flow],
        (None, true) => Flow::ALL.to_vec(),
        (None, false) => cli.flows.iter().map(|f| f.parse()).collect::<Result<_>>()?,
    };
    let suite = machines::Suite::from(cli.suite);
    // First, since it is quick: a mistake in the call should not wait for a root.
    let subject = Arc::new(Subject::read(&cli.file, cli.old.as_deref(), cli.hooks.as_deref(), cli.light)?);
    if subject.unsigned {
        note!(
            "debseal-drill: note: tried without its signature, since a predecessor made from it has none; to drill \
             both signed: --old"
        );
    }
    let root = machines::roots::base(&roots(cli)?, suite, &[])?;
    let trials = cli.hooks.is_none();
    let stages = Stages::make(&root, &subject, &flows, trials, cli.cluster)?;
    let report = Report::new(&subject.policy.package, &subject.version, suite.name(), cli.seed);
    let setting = Setting { subject, stages, trials, sabotage: cli.sabotage, operator: cli.meanwhile.clone() };
    match only {
        Some(case) => one(&setting, &case, report, cli),
        None => all(&setting, &flows, report, cli),
    }
}

/// Where roots are kept.
fn roots(cli: &Cli) -> Result<PathBuf> {
    let from_env = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let given = cli.roots.clone().or_else(|| from_env("DEBROOTS"));
    let cache = from_env("XDG_CACHE_HOME").or_else(|| Some(from_env("HOME")?.join(".cache")));
    given
        .or_else(|| Some(cache?.join("debseal-drill")))
        .ok_or_else(|| Error::new("where are roots to be kept?").way_out("say it with --roots"))
}

fn one(setting: &Setting, case: &Case, mut report: Report, cli: &Cli) -> Result<(String, bool)> {
    let began = Instant::now();
    let verdict = run::run(setting, case);
    report.take(case, "", &verdict);
    report.seconds = began.elapsed().as_secs();
    let mut out = String::new();
    if let (Ok(verdict), Format::Text) = (&verdict, cli.output) {
        for event in &verdict.events {
            let arrow = if event.to.is_empty() { "" } else { " -> " };
            out +=
                &format!("{}#{} {} {}{arrow}{}\n", event.label, event.number, event.known.name, event.path, event.to);
        }
        out += &format!("\n{}\n", verdict.said);
        if case.point.is_some() && !verdict.fired {
            out += "the fault did not strike: there is no such call\n";
        }
    }
    finish(out, report, cli)
}

fn all(setting: &Setting, flows: &[Flow], mut report: Report, cli: &Cli) -> Result<(String, bool)> {
    let began = Instant::now();
    let jobs = cli.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let wanted: Vec<Fault> = cli.faults.iter().map(|f| f.parse()).collect::<Result<_>>()?;
    let kind = plan::Kind { power: &cli.power, operator: setting.operator.is_some(), cluster: cli.cluster };
    let mut places = scenarios(setting, flows, jobs, kind, &mut report);
    report.found(&places);
    places.retain(|place| {
        let fault = place.case.point.as_ref().map(|p| p.fault);
        let at_site = cli.site.as_ref().is_none_or(|site| place.site.contains(site));
        at_site && (wanted.is_empty() || fault.is_some_and(|f| wanted.contains(&f)))
    });
    if cli.list {
        let lines: Vec<String> = places.iter().map(|p| format!("{}  {}\n", p.case, p.site)).collect();
        return Ok((lines.concat(), true));
    }
    if let Some((k, n)) = cli.part {
        places = places.into_iter().skip(k - 1).step_by(n).collect();
    }
    // All of them as well: where time runs out, what was tried is spread over all kinds of points.
    places = plan::sample(places, cli.sample.unwrap_or(usize::MAX), cli.seed);
    let bar = bar(places.len(), "faults");
    let cases: Vec<Case> = places.iter().map(|p| p.case.clone()).collect();
    let sites: std::collections::HashMap<&Case, &str> = places.iter().map(|p| (&p.case, p.site.as_str())).collect();
    let mut broken = 0;
    let until = cli.minutes.map(|minutes| began + Duration::from_secs(60 * minutes));
    report.left = cases.len();
    pool::all(setting, &cases, jobs, until, |case, verdict| {
        report.left -= 1;
        report.take(&case, sites.get(&case).copied().unwrap_or_default(), &verdict);
        broken += usize::from(verdict.map_or(true, |v| !v.violations.is_empty()));
        bar.set_message(format!("{broken} broken"));
        bar.inc(1);
    });
    bar.finish_and_clear();
    report.seconds = began.elapsed().as_secs();
    finish(String::new(), report, cli)
}

/// Walks the tree of failing scripts, level by level, and gathers where faults may strike.
fn scenarios(setting: &Setting, flows: &[Flow], jobs: usize, kind: plan::Kind<'_>, report: &mut Report) -> Vec<Place> {
    let mut places = Vec::new();
    let mut level: Vec<Scenario> = flows.iter().map(|f| Scenario::plain(*f)).collect();
    let bar = bar(0, "scenarios");
    while !level.is_empty() {
        let cases: Vec<Case> = level.drain(..).map(|scenario| Case { scenario, point: None }).collect();
        bar.inc_length(cases.len() as u64);
        pool::all(setting, &cases, jobs, None, |case, verdict| {
            report.take(&case, "", &verdict);
            if let Ok(verdict) = &verdict {
                level.extend(plan::deeper(verdict));
                places.extend(plan::places(verdict, kind));
            }
            bar.inc(1);
        });
    }
    bar.finish_and_clear();
    // Machines end in any order; the sample must not depend on it.
    places.sort_by(|a, b| a.case.cmp(&b.case));
    places
}

/// Shows only where somebody looks.
fn bar(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {eta} {msg}");
    let bar = ProgressBar::new(length as u64).with_prefix(what);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn finish(before: String, report: Report, cli: &Cli) -> Result<(String, bool)> {
    if let Some(path) = &cli.junit {
        std::fs::write(path, report.junit()?).doing(|| format!("cannot write {}", path.display()))?;
    }
    let answer = match cli.output {
        Format::Text => before + &report.text(),
        Format::Json => report.json()?,
    };
    Ok((answer, report.violations.is_empty()))
}
