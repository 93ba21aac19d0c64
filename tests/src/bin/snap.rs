//! `snap ROOT`: one durable, hashed snapshot of everything in ROOT/etc/files, as the maintainer
//! script takes it. For `make bench`.

use history::{Item, Scope, Store, Use, Why, snapshot};
use host::{Clock, Error, Result, Root};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("snap: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = std::env::args_os().nth(1).ok_or_else(|| Error::of(host::Kind::Usage, "snap ROOT"))?;
    let store = Store {
        root: Root::at(root),
        package: "snap".into(),
        state: "/var/lib/snap".into(),
        items: vec![Item::new("/etc/files", Scope::Node, Use::Restore)],
        node: "bench".into(),
        keep: 1000,
        keep_accepted: 1000,
        clock: Clock::System,
    };
    let state = snapshot::present(&store, false)?;
    snapshot::capture(&store, &state, &Why { reason: "bench".into(), ..Why::default() }).map(drop)
}
