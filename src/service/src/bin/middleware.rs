//! The migration middleware, as `pve-network-migration.service` runs it.

fn main() -> std::process::ExitCode {
    service::middleware::main()
}
