//! Takes a package through every call dpkg makes, at every fault.

use std::process::ExitCode;

fn main() -> ExitCode {
    drill::main(std::env::args_os())
}
