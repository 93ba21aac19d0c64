//! The `pvenet-legacy` program; see the library.

fn main() -> std::process::ExitCode {
    network::legacy::main()
}
