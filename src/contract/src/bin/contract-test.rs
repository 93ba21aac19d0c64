//! Compares Rust's answers with Perl's, as operators run it.

fn main() -> std::process::ExitCode {
    contract::main()
}
