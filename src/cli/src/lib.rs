//! What the command lines of our programs have in common: data on standard output, errors in one
//! line on standard error, exit codes by kind.
//!
//! ```text
//!   main ─► Result ─┬─► out     data: as --output says, in tables by screen ─► standard output
//!                   ├─► note!   what is worth saying beside it ─────────────┐
//!                   └─► end     an error, one line; its kind is the exit ───┴─► standard error
//!
//!   text ─┬─► redact   what goes to strangers: without what looks like a secret
//!         └─► markup   what stands in HTML, SVG or XML
//! ```
//!
//! It knows no program's work, never decides what is said, and never panics because nobody hears it. It is never linked
//! into the maintainer script, which reads its arguments by hand.

#![deny(clippy::print_stderr, reason = "eprintln! panics where standard error is gone; note! does not")]

pub mod markup;
pub mod redact;
pub mod screen;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use host::{Error, IoContext, Kind, Result, Root};

/// `--output text|json`.
#[derive(Debug, Args)]
pub struct Output {
    /// The form of the output.
    #[arg(long, visible_alias = "format", value_enum, default_value_t, value_name = "FORM")]
    pub output: Form,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs; carries `schema_version`.
    Json,
}

/// Prints a line of data. A reader that went away, as `head` does, changes no verdict and stops no work.
pub fn out(line: impl Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.doing(|| "cannot write to standard output"),
    }
}

/// Says something beside the data: a line on standard error, written as `format!` is.
///
/// For our programs what `eprintln!` is for others: that one panics where standard error is gone, and a panic takes the
/// exit code with it, and the work that was left.
#[macro_export]
macro_rules! note {
    ($($line:tt)*) => { $crate::say(format_args!("{}\n", format_args!($($line)*))) };
}

/// The same without a line's end, for a question or a countdown.
pub fn say(text: impl Display) {
    // With no standard error there is nobody to tell.
    let _ = std::io::stderr().write_all(text.to_string().as_bytes());
}

/// How `program` ends: an error is said in one line, and its kind is the exit code.
pub fn end(program: &str, done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("{program}: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Refuses anybody but root on the running system.
///
/// Only root can read what our programs judge by: the state folder, the phase in `/etc/pve`, guests' configurations. What
/// can't be read would count as missing, and "perl-only, no snapshots" would be a false answer rather than none.
///
/// # Errors
/// [`Kind::Refused`], which is also what a Nagios plugin's `unknown` is.
pub fn need_root(root: &Root) -> Result<()> {
    if !root.is_system() || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::of(
        Kind::Refused,
        "only root can read this node's phase, snapshots and journal, so nothing was looked at",
    )
    .way_out("run it as root, or with sudo"))
}

/// A value parser for a number of seconds, 1 to `most`.
///
/// # Errors
/// Says what is wanted, with an example.
pub fn seconds(text: &str, most: u64) -> std::result::Result<u64, String> {
    let number = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| format!("it must be a number of seconds from 1 to {most}, without a unit, such as 120"))
}

/// A value parser for what goes into tables and logs, a line each.
pub fn one_line(text: &str) -> std::result::Result<String, String> {
    let text = text.trim();
    match text {
        "" => Err("it must not be empty".into()),
        _ if text.chars().any(char::is_control) => Err("it must be one line".into()),
        _ if text.len() > 1000 => Err("it is longer than 1000 bytes".into()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_number_and_a_unit_is_told() {
        assert_eq!((seconds("1", 60), seconds("60", 60)), (Ok(1), Ok(60)));
        for bad in ["", "0", "61", "2m", "-1", "+1", " 1", "1.5", "99999999999999999999"] {
            assert!(seconds(bad, 60).is_err_and(|why| why.contains("from 1 to 60")), "{bad}");
        }
    }

    #[test]
    fn below_another_root_anybody_may_look() {
        assert!(need_root(&Root::at("/nowhere")).is_ok());
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(one_line(" why not "), Ok("why not".to_owned()));
        for bad in ["", " ", "a\nb", "a\x1b[2J", &"x".repeat(1001)] {
            assert!(one_line(bad).is_err(), "{bad:?}");
        }
    }
}
