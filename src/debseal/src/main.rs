//! Seals, signs, verifies and inspects Debian packages.

use std::process::ExitCode;

fn main() -> ExitCode {
    debseal::main(std::env::args_os())
}
