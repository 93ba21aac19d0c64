//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::cli::screen::Colours;
use ::cli::{Form, Output, out};
use clap::{Args, CommandFactory, Parser, Subcommand};
use host::{Clock, Error, IoContext, Kind, Result, Root, files};
use phase::Phase;

use crate::evidence::chain::Bundle;
use crate::gate::{self, Judgement, SELECTOR, Verdict};
use crate::read::{Node, Sources, prometheus};
use crate::{evidence, keys, read, report, shown, watch};

/// Judges whether a node may go one phase further, and keeps the evidence.
///
/// It changes nothing, unless 'watch --demote' lowers the phase; 'migration-ctl promote' asks the same gate and then sets it.
/// What asks the node (gate, evidence, report, watch) needs root; keys, sign and judge do not.
///
/// Exit codes: 0 pass or done, 1 failed, 2 usage, 3 fail, or an alert fires, 4 inconclusive, 6 evidence that was altered or
/// is signed by nobody who is trusted.
#[derive(Debug, Parser)]
#[command(name = "canary", version, max_term_width = 100)]
struct Cli {
    /// Work on the system below DIR instead of the running one.
    #[arg(long, value_name = "DIR", global = true, hide = true)]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say whether this node may go to a phase: pass, fail, or inconclusive.
    ///
    /// Two witnesses have to agree, the node's own files and Prometheus, for 24 hours before rust-basic-write and for 7
    /// days before each later phase. What is not known is never a pass. docs/canary.md has every reason and what to do.
    Gate(Gate),
    /// Write one file with the verdict and everything that led to it, without secrets.
    ///
    /// Anyone can judge it again elsewhere, with 'canary judge'. It is signed here with --key, or later, where the key
    /// is, with 'canary sign'.
    Evidence(Evidence),
    /// Say what happened lately: applies, requests, fallbacks, phases, coverage, what is outstanding.
    ///
    /// Text for a mail, JSON, and one HTML page. It judges nothing of its own.
    Report(Reported),
    /// Say whether a critical alert of this node fires: quiet, firing, or unknown.
    ///
    /// With --demote this node goes one phase down when one fires that is labelled demote="yes" and that began after the
    /// phase was changed last. pve-network-canary.timer runs that each minute, where an operator has enabled it.
    Watch(Watch),
    /// Say whose signature the next version of this package may carry, and until when.
    ///
    /// The exporter asks this four times a day: pve_network_key_expiry_timestamp_seconds.
    Keys(Output),
    /// Sign a bundle of evidence with a key of gpg's.
    Sign(Sign),
    /// Judge a bundle of evidence again, anywhere: the same verdict, or a refusal.
    ///
    /// Refused (exit code 6) if a single byte differs from what was signed, if nobody signed whom --key names, or if the
    /// facts do not follow from the records beside them.
    Judge(Judge),
}

/// `canary report …`.
#[derive(Debug, Args)]
struct Reported {
    /// How far it looks back, such as 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = length)]
    since: i64,
    /// Write one HTML page to this file, with nothing from outside of it.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    output: Output,
}

/// `90m`, `24h`, `7d`: a minute to ninety days, in seconds.
fn length(text: &str) -> std::result::Result<i64, String> {
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1)).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let seconds = number.and_then(|n| n.parse::<i64>().ok()).and_then(|n| n.checked_mul(unit));
    let wrong = || "it must be a number with m, h or d, from 1m to 90d, such as 7d".to_owned();
    seconds.filter(|s| (60..=90 * 86_400).contains(s)).ok_or_else(wrong)
}

/// `canary evidence …`.
#[derive(Debug, Args)]
struct Evidence {
    /// The file to write, which must not be there yet.
    #[arg(short = 'o', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// The phase; the next one if none is given.
    #[arg(long = "for", value_name = "PHASE", value_parser = clap::builder::PossibleValuesParser::new(Phase::ALL.map(Phase::as_str)))]
    wanted: Option<String>,
    /// Sign it with this key of gpg's: the full fingerprint of its certificate.
    #[arg(long, value_name = "FINGERPRINT")]
    key: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// `canary watch …`.
#[derive(Debug, Args)]
struct Watch {
    /// Go a phase down where an alert says so. The network is left alone; Perl writes from then on what Rust may no longer.
    #[arg(long)]
    demote: bool,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    output: Output,
}

/// `canary sign …`.
#[derive(Debug, Args)]
struct Sign {
    /// Full fingerprint of the key's certificate.
    #[arg(long, value_name = "FINGERPRINT")]
    key: String,
    /// The bundle; it is replaced by the signed one.
    file: PathBuf,
}

/// `canary judge …`.
#[derive(Debug, Args)]
struct Judge {
    /// A certificate whose signatures count (may be repeated).
    #[arg(long = "key", value_name = "CERT", required_unless_present = "unsigned")]
    keys: Vec<PathBuf>,
    /// Judge it although nobody vouches for it.
    #[arg(long, conflicts_with = "keys")]
    unsigned: bool,
    /// Show every value with its threshold and its source.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    output: Output,
    /// The bundle.
    file: PathBuf,
}

/// `canary gate …`.
#[derive(Debug, Args)]
struct Gate {
    /// The phase; the next one if none is given.
    #[arg(long = "for", value_name = "PHASE", value_parser = clap::builder::PossibleValuesParser::new(Phase::ALL.map(Phase::as_str)))]
    wanted: Option<String>,
    /// Show every value with its threshold and its source.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    output: Output,
}

/// Which node, and where its witnesses are.
#[derive(Debug, Clone, Args)]
pub struct Asked {
    /// The node; it has to be this one, whose files are the witness.
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Where Prometheus answers; if not said, where migration.toml says.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// The certificates that Prometheus' has to be signed by, for https.
    #[arg(long, value_name = "FILE", default_value = prometheus::CERTIFICATES)]
    pub ca: PathBuf,
    /// The labels by which Prometheus tells a node's series; {node} stands for its name.
    #[arg(long, value_name = "LABELS", default_value = SELECTOR)]
    pub selector: String,
    /// The report of contract-test [default: the newest of /var/log/pve-network/contract*.json].
    #[arg(long, value_name = "FILE")]
    pub contract: Option<PathBuf>,
}

impl Asked {
    /// Where the witnesses are.
    ///
    /// # Errors
    /// The node is another one; an address can't be used.
    pub fn sources(&self, node: &Node) -> Result<Sources> {
        let own = &node.switch.node;
        if let Some(name) = self.node.as_ref().filter(|name| *name != own) {
            return Err(Error::of(
                Kind::Refused,
                format!("this is node {own}, and the witnesses of {name} are on {name}: ask there"),
            ));
        }
        // A file that can't be read is the gate's to tell.
        let told = || node.switch.facts().migration().ok().flatten().and_then(|m| m.canary_prometheus);
        let url = self.prometheus.clone().or_else(told);
        let server = url.map(|url| prometheus::Server::at(&url, &self.ca)).transpose()?;
        let contract = self.contract.as_deref().map(absolute);
        Ok(Sources { server, selector: self.selector.clone(), contract: contract.transpose()? })
    }
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    ::cli::end("canary", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    let root = cli.root.map_or_else(Root::system, Root::at);
    let node = || ::cli::need_root(&root).and_then(|()| Node::at(&root, Clock::System));
    match cli.command {
        Command::Gate(asked) => judge(&node()?, &asked),
        Command::Evidence(asked) => bundle(&node()?, &asked),
        Command::Report(asked) => reported(&node()?, &asked),
        Command::Watch(asked) => watched(&node()?, &asked),
        Command::Keys(output) => trusted(&root, &output),
        Command::Sign(asked) => sign(&asked),
        Command::Judge(asked) => again(&asked),
    }
}

/// A bundle that is larger, in bytes, is none.
const LIMIT: u64 = 1 << 30;

fn bundle(node: &Node, asked: &Evidence) -> Result<()> {
    let shown = asked.file.display();
    if asked.file.symlink_metadata().is_ok() {
        return Err(Error::new(format!("{shown} is there already and is not overwritten")));
    }
    let wanted = wanted(node, asked.wanted.as_deref())?;
    let facts = read::facts(node, wanted, &asked.asked.sources(node)?);
    let mut bundle = evidence::gather(node, &facts)?;
    if let Some(key) = &asked.key {
        bundle.signature = Some(evidence::sign::sign(&bundle.covered, key, &absolute(&asked.file)?)?);
    }
    put(&asked.file, &bundle.bytes()?, 0o600)?;
    let verdict = gate::gate(&facts);
    out(shown::line(&verdict))?;
    let missing = bundle.get("MISSING")?;
    for line in missing.lines() {
        ::cli::note!("not in the bundle: {line}");
    }
    if bundle.signature.is_none() {
        ::cli::note!("nobody vouches for it yet: canary sign --key FINGERPRINT {shown}");
    }
    ::cli::note!("{shown} holds {} files; look through it before you send it", bundle.entries.len());
    Ok(())
}

fn reported(node: &Node, asked: &Reported) -> Result<()> {
    let report = report::make(node, asked.since, &asked.asked.sources(node)?);
    if let Some(file) = &asked.html {
        put(file, report::page(&report).as_bytes(), 0o644)?;
    }
    match asked.output.output {
        Form::Text => out(report::text(&report).trim_end()),
        Form::Json => out(serde_json::to_string(&report).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?),
    }
}

fn watched(node: &Node, asked: &Watch) -> Result<()> {
    let facts = watch::facts(node, &asked.asked.selector, &asked.asked.sources(node)?);
    let watched = watch::judge(&facts);
    // Before anything is said: nobody may be there to hear it.
    let lowered = match watched.demote_to {
        Some(to) if asked.demote => Some(watch::demote(node, to, &watched.reason)),
        _ => None,
    };
    match asked.output.output {
        Form::Text => out(watch::text(&watched))?,
        Form::Json => out(serde_json::to_string(&watched).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?)?,
    }
    match (watched.demote_to, lowered.transpose()?) {
        (Some(to), Some(beside)) => {
            beside.iter().for_each(|line| ::cli::note!("canary: {line}"));
            ::cli::note!("node {} is at {to} (was {}): {}", watched.node, watched.phase, watched.reason);
        }
        (Some(to), None) => ::cli::note!("with --demote this node would go to {to}"),
        (None, _) => {}
    }
    watch::ended(&watched)
}

fn trusted(root: &Root, output: &Output) -> Result<()> {
    let keys = keys::read(root, keys::PACKAGE, std::time::SystemTime::now())?;
    match output.output {
        Form::Text => out(keys::text(&keys)),
        Form::Json => out(serde_json::to_string(&keys).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?),
    }
}

/// Writes a file of the operator's, whose name may be a mere one.
fn put(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    files::replace(&absolute(file)?, bytes, &files::Attributes::mode(mode))
}

fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file).doing(|| "cannot find the current folder")
}

fn read_bundle(file: &Path) -> Result<Vec<u8>> {
    let bytes = files::read_plain(file, LIMIT)?;
    bytes.ok_or_else(|| Error::of(Kind::Usage, format!("there is no file {}", file.display())))
}

fn sign(asked: &Sign) -> Result<()> {
    let shown = || asked.file.display();
    let mut bundle = Bundle::parse(&read_bundle(&asked.file)?).map_err(|e| e.context(shown()))?;
    bundle.signature = Some(evidence::sign::sign(&bundle.covered, &asked.key, &absolute(&asked.file)?)?);
    put(&asked.file, &bundle.bytes()?, 0o600)
}

fn again(asked: &Judge) -> Result<()> {
    let bytes = read_bundle(&asked.file)?;
    let keys = if asked.unsigned { None } else { Some(evidence::sign::keyring(&asked.keys)?) };
    let judged = evidence::judge(&bytes, keys.as_ref()).map_err(|e| e.context(asked.file.display()))?;
    print(&judged.verdict, asked.explain, asked.output.output)?;
    match &judged.signer {
        Some(signer) => ::cli::note!("signed by {signer}"),
        None => ::cli::note!("canary: nobody vouches for it: it may have been made by anyone"),
    }
    ended(&judged.verdict)
}

fn judge(node: &Node, asked: &Gate) -> Result<()> {
    let wanted = wanted(node, asked.wanted.as_deref())?;
    let facts = read::facts(node, wanted, &asked.asked.sources(node)?);
    let verdict = gate::gate(&facts);
    print(&verdict, asked.explain, asked.output.output)?;
    ended(&verdict)
}

/// The phase that is asked for, or the one after the present one.
fn wanted(node: &Node, named: Option<&str>) -> Result<Phase> {
    match named {
        Some(name) => name.parse(),
        None => {
            let now = node.switch.effective().phase;
            now.next()
                .ok_or_else(|| Error::of(Kind::Refused, format!("the node is at {now}: there is no phase above it")))
        }
    }
}

fn print(verdict: &Verdict, explain: bool, form: Form) -> Result<()> {
    match form {
        Form::Text => out(shown::text(verdict, explain, Colours::of_stdout())),
        Form::Json => out(serde_json::to_string(verdict).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?),
    }
}

/// How a program ends that was asked for a verdict.
///
/// # Errors
/// It is no pass.
pub fn ended(verdict: &Verdict) -> Result<()> {
    let kind = match verdict.verdict {
        Judgement::Pass => return Ok(()),
        Judgement::Fail => Kind::Refused,
        Judgement::Inconclusive => Kind::Inconclusive,
    };
    Err(Error::of(kind, format!("{} says {}", shown::deciding(verdict), verdict.verdict.as_str()))
        .way_out("--explain shows each value and what was wanted"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::cli().debug_assert();
    }

    #[test]
    fn lengths() {
        for (text, seconds) in [("7d", 604_800), ("24h", 86_400), ("90m", 5_400)] {
            assert_eq!(super::length(text), Ok(seconds));
        }
        for text in ["", "d", "0d", "91d", "7", "-1d", "7w", "7 d", "99999999999999999999d", "ü"] {
            assert!(super::length(text).is_err(), "{text}");
        }
    }
}
