//! The API daemon, as `pve-network-rs.service` runs it.

fn main() -> std::process::ExitCode {
    service::main(service::DAEMON)
}
