//! The command line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ::cli::out;
use clap::{CommandFactory, Parser};
use host::{Clock, Error, Kind, Result, Root, files};

use crate::ask::Side;
use crate::html;
use crate::report::{self, Judgement, Report};
use crate::run::{Asked, run};
use crate::writes;

/// Asks Perl, Rust, and Perl again for everything that can be read, and says where Rust answers otherwise.
///
/// With --writes it asks both, by pvesh and by the daemon's own program, to write what it has cases for, and compares answers
/// and files: each time in a copy in memory, with all disks read-only.
///
/// It changes nothing. Fields that differ between Perl's own answers are noise: what that hides is listed, and no
/// type and no missing field is ever hidden.
///
/// Exit codes: 0 equal, 1 differing, 2 usage, 3 --writes without root, 4 inconclusive (Perl or Rust could not be asked,
/// nothing was compared, or the report could not be written).
#[derive(Debug, Parser)]
#[command(name = "contract-test", version, max_term_width = 100)]
struct Cli {
    /// The node whose network is asked for [default: this one].
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where Proxmox's own API answers.
    #[arg(long, value_name = "URL", default_value = "https://127.0.0.1:8006")]
    perl_url: String,
    /// The certificate that signed Perl's.
    #[arg(long, value_name = "FILE", default_value = "/etc/pve/pve-root-ca.pem")]
    ca: PathBuf,
    /// A file with an API token, USER@REALM!NAME=SECRET, that only its owner can read.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the Rust daemon answers.
    #[arg(long, value_name = "PATH", default_value = "/run/pve-network-rs/api.sock")]
    socket: PathBuf,
    /// Ask for this alone, as /nodes/NAME/network (may be repeated).
    #[arg(long = "endpoint", value_name = "PATH", value_parser = endpoint)]
    endpoints: Vec<String>,
    /// Compare writes instead, in scratch copies; as root, without a token.
    #[arg(long, conflicts_with = "endpoints")]
    writes: bool,
    /// With --writes: ask for these alone, a JSON list of {"method", "path", "params"} [default: cases made from the configuration].
    #[arg(long, value_name = "FILE", requires = "writes")]
    cases: Option<PathBuf>,
    /// Ask for each so many times; the worst counts (writes: once each).
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Chooses the order of the questions [default: the time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write JUnit's XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write one HTML page to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn endpoint(text: &str) -> std::result::Result<String, String> {
    let path = text.strip_prefix("/api2/json").unwrap_or(text);
    if path.starts_with('/') { Ok(path.to_owned()) } else { Err("it begins with a /, as /nodes/NAME/network".into()) }
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    ::cli::end("contract-test", contract(Cli::parse()))
}

/// Runs it with these arguments, for who has more to do afterwards.
///
/// # Errors
/// As the program ends: [`Kind::Failed`] if they differ, [`Kind::Inconclusive`], [`Kind::Usage`].
pub fn with(arguments: &[&str]) -> Result<()> {
    let all = std::iter::once("contract-test").chain(arguments.iter().copied());
    contract(Cli::try_parse_from(all).map_err(|e| Error::of(Kind::Usage, e.to_string()))?)
}

fn contract(cli: Cli) -> Result<()> {
    let node = cli.node.clone().unwrap_or_else(|| host::node_name(&Root::system()));
    let seed = cli.seed.unwrap_or_else(|| Clock::System.now().seconds().unsigned_abs());
    let progress = std::io::stderr().is_terminal();
    let tell = |done: usize, all: usize| {
        if progress {
            let end = if done == all { "\r\x1b[K" } else { "" };
            eprint!("\r{done}/{all}{end}");
            let _ = std::io::stderr().flush(); // for who watches
        }
    };
    let report =
        if cli.writes { writes::run(&node, cli.cases.as_deref(), seed, tell) } else { reads(&cli, node, seed, tell) };
    let report = report.map_err(inconclusive)?;
    put(&cli, &report).map_err(inconclusive)?;
    out(report.text()).map_err(inconclusive)?;
    ended(&report)
}

/// What went wrong beside the comparison is no difference: exit code 1 says that Rust answers otherwise, and nothing else.
fn inconclusive(error: Error) -> Error {
    match error.kind() {
        Kind::Failed => error.with_kind(Kind::Inconclusive),
        _ => error,
    }
}

/// Writes what was asked for to files.
fn put(cli: &Cli, report: &Report) -> Result<()> {
    let json = || -> Result<String> {
        let text = serde_json::to_string_pretty(report).map_err(|e| Error::new(format!("cannot write JSON: {e}")))?;
        Ok(text + "\n")
    };
    let put = |path: &PathBuf, text: String| files::replace(path, text.as_bytes(), &files::Attributes::mode(0o644));
    cli.output.as_ref().map_or(Ok(()), |path| put(path, json()?))?;
    cli.junit.as_ref().map_or(Ok(()), |path| put(path, report.junit()?))?;
    cli.html.as_ref().map_or(Ok(()), |path| put(path, html::page(report)))
}

fn reads(cli: &Cli, node: String, seed: u64, tell: impl FnMut(usize, usize)) -> Result<Report> {
    let asked = Asked {
        node,
        perl: Side::perl(&cli.perl_url, &cli.ca, cli.token_file.as_deref())?,
        perl_url: cli.perl_url.clone(),
        rust: Side::rust(&cli.socket),
        endpoints: cli.endpoints.clone(),
        rounds: cli.rounds,
        seed,
    };
    client::run(run(&asked, tell)).map_err(|e| Error::of(Kind::Inconclusive, e.to_string()))
}

fn ended(report: &Report) -> Result<()> {
    let verb = if report.asked == report::Asked::Writes { "write" } else { "answer" };
    match report.verdict {
        Judgement::Equal => Ok(()),
        Judgement::Differing => Err(Error::new(format!("Rust does not {verb} as Perl does"))),
        Judgement::Inconclusive | Judgement::LeftToPerl => {
            Err(Error::of(Kind::Inconclusive, format!("nobody can say whether Rust {verb}s as Perl does")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_it_from_asking_is_no_difference() {
        let kind = |arguments: &[&str]| with(arguments).map_err(|e| (e.kind(), e.to_string()));
        let (kind_of, said) = kind(&["--ca", "/nowhere/ca.pem"]).unwrap_err();
        assert_eq!(kind_of, Kind::Inconclusive, "{said}");
        assert!(said.contains("/nowhere/ca.pem") && said.contains("pvecm updatecerts"), "{said}");
        assert_eq!(kind(&["--perl-url", "http://127.0.0.1:8006"]).unwrap_err().0, Kind::Usage);
    }
}
