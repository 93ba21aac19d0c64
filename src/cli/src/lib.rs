//! What the command lines of our programs have in common: data on standard output, errors in one
//! line on standard error, exit codes by kind. Never linked into the maintainer script.

pub mod redact;
pub mod screen;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use host::Result;

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

/// Prints a line of data. A reader that went away, as `head` does, ends the program quietly.
pub fn out(line: impl std::fmt::Display) -> Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => host::IoContext::doing(done, || "cannot write to standard output"),
    }
}

/// How `program` ends: an error is said in one line, and its kind is the exit code.
pub fn end(program: &str, done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
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
    fn a_reason_is_one_line() {
        assert_eq!(one_line(" why not "), Ok("why not".to_owned()));
        for bad in ["", " ", "a\nb", "a\x1b[2J", &"x".repeat(1001)] {
            assert!(one_line(bad).is_err(), "{bad:?}");
        }
    }
}
