//! Who a program is, and what the command lines of both have in common.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use host::Root;

/// What tells the two services apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The program's file name.
    pub program: &'static str,
    /// The unit's name without `.service`; also what `/health` calls itself.
    pub service: &'static str,
    /// Where it listens unless told otherwise.
    pub socket: &'static str,
    pub(crate) about: &'static str,
    pub(crate) long_about: &'static str,
}

/// `pve-network-rs.service`: Proxmox's network API in Rust.
pub const DAEMON: Identity = Identity {
    program: "pve-network-rs-daemon",
    service: "pve-network-rs",
    socket: "/run/pve-network-rs/api.sock",
    about: "network API daemon of pve-network-rs",
    long_about: "Serves the network API of a Proxmox VE node on a Unix socket. It is run by \
        pve-network-rs.service, which asks 'migration-ctl phase allows daemon' first and does not \
        start it while this node's phase is perl-only.\n\n\
        It reads the network configuration and writes pending changes (interfaces.new). A reload is carried out \
        by pve-network-reload.socket, which its unit wants; SDN is Perl's. GET /health says how it stands, GET /operations/ID what became of a write.",
};

/// The daemon's command line as clap knows it: for man pages and completions.
pub fn cli() -> Command {
    DAEMON.command()
}

impl Identity {
    /// The command line as far as both have it.
    pub(crate) fn command(&self) -> Command {
        Command::new(self.program)
            .version(env!("CARGO_PKG_VERSION"))
            .about(self.about)
            .long_about(self.long_about)
            .arg(
                Arg::new("socket")
                    .long("socket")
                    .value_name("PATH")
                    .value_parser(value_parser!(PathBuf))
                    .help(format!("Listen on this Unix socket [default: {}]", self.socket)),
            )
            .arg(
                Arg::new("root")
                    .long("root")
                    .value_name("DIR")
                    .value_parser(value_parser!(PathBuf))
                    .hide(true)
                    .help("Read phase and node name below DIR instead of /"),
            )
    }

    /// What the parsed command line asks for.
    pub(crate) fn settings(self, matches: &ArgMatches) -> Settings {
        let root = match matches.get_one::<PathBuf>("root") {
            Some(dir) => Root::at(dir),
            None => Root::system(),
        };
        let socket = match matches.get_one::<PathBuf>("socket") {
            Some(path) => path.clone(),
            None => root.path(self.socket),
        };
        Settings { identity: self, root, socket }
    }
}

/// One run's settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub identity: Identity,
    pub root: Root,
    pub socket: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::MIDDLEWARE;
    use std::path::Path;

    fn settings(identity: Identity, args: &[&str]) -> Settings {
        let argv = std::iter::once(identity.program).chain(args.iter().copied());
        identity.settings(&identity.command().get_matches_from(argv))
    }

    #[test]
    fn the_command_lines_are_sound() {
        cli().debug_assert();
        crate::middleware::cli().debug_assert();
    }

    #[test]
    fn each_listens_in_its_own_runtime_directory_below_the_root() {
        assert_eq!(settings(DAEMON, &[]).socket, Path::new("/run/pve-network-rs/api.sock"));
        assert_eq!(settings(MIDDLEWARE, &["--root", "/r"]).socket, Path::new("/r/run/pve-network-migration/api.sock"));
    }

    #[test]
    fn a_socket_that_is_named_is_taken_as_written() {
        let asked = settings(DAEMON, &["--root", "/r", "--socket", "/s"]);
        assert_eq!(asked.socket, Path::new("/s"));
        assert_eq!(asked.root.base(), Path::new("/r"));
    }
}
