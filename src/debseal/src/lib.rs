//! `debseal`: the packager's and the admin's hand tool for sealed packages.
//!
//! ```text
//!   cargo-deb / dpkg-deb ─► seal ─► sign ─► verify ─► (dpkg)
//!                            │       │        │
//!        four hooks, manifest┘       │        └ keys from --key or /etc/debseal/policy.d
//!        manifest-sig, _gpgorigin, by gpg's agent ┘
//! ```
//!
//! What a sealed package is, and every judgement, is the crate `seal`; this crate is the command
//! line around it, and the only one that talks to gpg. Each command is a function from its arguments
//! to an [`Outcome`]: what goes to stdout, notes and errors for stderr. Only [`main`] prints.
//! It never sees a secret key, and never changes a package's payload.
//!
//! | to add | look at |
//! |---|---|
//! | an option | [`cli`] |
//! | a check of the hook binary | `elf` |
//! | a rule of the gate | `gate::verdict` |
//! | something to say about a package | `inspect` |

#![deny(clippy::print_stderr, reason = "eprintln! panics where standard error is gone; note! does not")]

pub mod cli;
mod elf;
mod gate;
mod gpg;
mod inspect;
mod install;
mod key;
mod outcome;
mod output;
mod sealing;
mod signing;
mod status;
mod verifying;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use ::cli::note;
use clap::Parser;

pub use outcome::Outcome;

/// Runs the program with these arguments and prints what comes of it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = run(cli::Cli::parse_from(args));
    let written = std::io::stdout().lock().write_all(outcome.out.as_bytes());
    for note in &outcome.notes {
        note!("debseal: note: {note}");
    }
    for error in &outcome.errors {
        note!("debseal: {error}");
    }
    match written {
        Ok(()) => ExitCode::from(outcome.exit_code()),
        // A reader that went away (`| head`) has seen what it wanted; the verdict stands.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(outcome.exit_code()),
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(parsed: cli::Cli) -> Outcome {
    match parsed.command {
        cli::Command::Seal(args) => sealing::run(&args).into(),
        cli::Command::Sign(args) => signing::run(&args),
        cli::Command::Verify(args) => verifying::run(&args),
        cli::Command::Inspect(args) => inspect::run(&args).into(),
        cli::Command::Install(args) => install::run(&args),
        cli::Command::Key(command) => key::run(&command),
        cli::Command::Status(args) => status::run(&args),
        cli::Command::Allow(args) => gate::allow::run(&args),
        cli::Command::Gate(command) => gate::run(&command),
    }
}
