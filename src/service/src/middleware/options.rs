//! Who the middleware is, and its command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::options::{Identity, Settings};

/// Where it listens for callers of this node, unless told otherwise. 8006 is pveproxy's, 8007 Proxmox
/// Backup Server's, which some run on the same machine.
const LISTEN: &str = "127.0.0.1:8008";

/// The exporter's address, unless told otherwise.
const METRICS: &str = "127.0.0.1:9187";

/// `pve-network-migration.service`: sends each request to Rust or to Perl, by phase.
pub const MIDDLEWARE: Identity = Identity {
    program: "pve-network-migration",
    service: "pve-network-migration",
    socket: "/run/pve-network-migration/api.sock",
    about: "migration middleware of pve-network-rs",
    long_about: "Stands between the callers of the network API and its two implementations, Rust and Perl. \
        By this node's phase and features it sends each request of the network or the SDN to the one or the \
        other, and lets Perl step in where Rust fails: for reads always, for writes only where it is proven \
        that Rust changed nothing. Everything else passes through to pveproxy, websockets included.\n\n\
        It listens on a Unix socket, where root needs no ticket, and on loopback. Nobody comes by it by \
        himself: the web interface, pvesh and other nodes speak to pveproxy, unless --front puts it in \
        pveproxy's place.\n\n\
        Options go into MIDDLEWARE_OPTIONS in /etc/default/pve-network-rs. Each decision is a line in \
        /var/log/pve-network/migration.log; what Rust fails at too often costs this node a phase.",
};

/// One run's settings.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Root, socket.
    pub common: Settings,
    /// Plain HTTP, loopback only.
    pub listen: SocketAddr,
    /// The exporter.
    pub metrics: SocketAddr,
    /// TLS in the place of pveproxy.
    pub front: Option<SocketAddr>,
    /// How long whom is waited for.
    pub times: Times,
}

/// How long whom is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// The daemon's answer to a read.
    pub read: Duration,
    /// The daemon's answer to a write.
    pub write: Duration,
    /// For finding out what became of a write whose answer was lost.
    pub fence: Duration,
    /// A client's body for the network API, as a whole; of other bodies, each part of it.
    pub body: Duration,
}

/// The command line as clap knows it: for man pages and completions.
pub fn cli() -> Command {
    let address = |name: &'static str| Arg::new(name).long(name).value_name("ADDRESS:PORT");
    let seconds = |name: &'static str, default: &'static str| {
        Arg::new(name).long(name).value_name("SECONDS").value_parser(seconds).default_value(default)
    };
    MIDDLEWARE
        .command()
        .arg(
            address("listen")
                .value_parser(loopback)
                .default_value(LISTEN)
                .help("Listen here for HTTP from this node; loopback only, since tickets pass in the clear"),
        )
        .arg(
            address("metrics")
                .value_parser(value_parser!(SocketAddr))
                .default_value(METRICS)
                .help("Serve /metrics, /health and /ready here"),
        )
        .arg(address("front").value_parser(value_parser!(SocketAddr)).help(
            "Stand before pveproxy: listen here for TLS, with pveproxy's certificate; pveproxy must \
             listen on loopback (LISTEN_IP in /etc/default/pveproxy)",
        ))
        .arg(seconds("read-timeout", "10").help("How long the daemon may take to answer a read"))
        .arg(seconds("write-timeout", "60").help("How long the daemon may take to answer a write"))
        .arg(seconds("fence-timeout", "10").help("How long to find out what became of a write whose answer was lost"))
        .arg(seconds("body-timeout", "10").help("How long a client may take to send a body"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.05..=600.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number from 0.05 to 600".to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err("only a loopback address: elsewhere tickets would pass in the clear; see --front".to_owned()),
        Err(_) => Err("an address and a port, as in 127.0.0.1:8008 or [::1]:8008".to_owned()),
    }
}

impl Options {
    /// What the parsed command line asks for.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let address = |name: &str, default: &str| {
            // The defaults are addresses: a test reads them.
            let default = || default.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
            matches.get_one::<SocketAddr>(name).copied().unwrap_or_else(default)
        };
        let seconds = |name: &str| matches.get_one::<Duration>(name).copied().unwrap_or(Duration::from_secs(10));
        Self {
            common: MIDDLEWARE.settings(matches),
            listen: address("listen", LISTEN),
            metrics: address("metrics", METRICS),
            front: matches.get_one("front").copied(),
            times: Times {
                read: seconds("read-timeout"),
                write: seconds("write-timeout"),
                fence: seconds("fence-timeout"),
                body: seconds("body-timeout"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, clap::Error> {
        let argv = std::iter::once(MIDDLEWARE.program).chain(args.iter().copied());
        cli().try_get_matches_from(argv).map(|matches| Options::of(&matches))
    }

    #[test]
    fn what_is_asked_for() {
        let plain = options(&[]).unwrap();
        assert_eq!((plain.listen.to_string(), plain.metrics.to_string()), (LISTEN.to_owned(), METRICS.to_owned()));
        assert_eq!(plain.front, None);
        assert_eq!(plain.times.write, Duration::from_secs(60));
        let asked = options(&["--listen", "[::1]:1", "--front", "192.0.2.1:8006", "--read-timeout", "0.5"]).unwrap();
        assert_eq!(asked.listen.port(), 1);
        assert_eq!(asked.front.unwrap().to_string(), "192.0.2.1:8006");
        assert_eq!(asked.times.read, Duration::from_millis(500));
        for bad in [["--listen", "0.0.0.0:8008"], ["--listen", "x"], ["--read-timeout", "0"], ["--read-timeout", "NaN"]]
        {
            let said = options(&bad).unwrap_err();
            assert_eq!(said.exit_code(), 2, "{bad:?}");
        }
    }
}
