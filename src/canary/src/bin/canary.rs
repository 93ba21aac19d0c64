//! The program `canary`; everything is in the library.

fn main() -> std::process::ExitCode {
    canary::main()
}
