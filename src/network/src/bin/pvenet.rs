//! The `pvenet` program; see the library.

fn main() -> std::process::ExitCode {
    network::pvenet::main()
}
