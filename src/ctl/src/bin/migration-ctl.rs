//! The `migration-ctl` program; see the library.

fn main() -> std::process::ExitCode {
    ctl::main()
}
