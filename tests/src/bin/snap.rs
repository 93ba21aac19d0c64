//! `snap ROOT FOLDER STATE`: one snapshot of the folder into the state folder, both as seen inside
//! ROOT, by the very library calls of the maintainer scripts. A program of its own, so that the
//! bench measures it as it measures others: from process start to the end.

use std::time::Duration;

use history::{Item, Scope, Store, Use, Why, snapshot};
use host::{Clock, Error, Kind, Result, Root};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("snap: {error}");
            std::process::ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, folder, state] = arguments.as_slice() else {
        return Err(Error::of(Kind::Usage, "usage: snap ROOT FOLDER STATE"));
    };
    let store = Store {
        root: Root::at(root),
        package: "snap".into(),
        state: state.into(),
        items: vec![Item::new(folder, Scope::Node, Use::Restore)],
        node: "bench".into(),
        keep: 20,
        keep_accepted: 5,
        clock: Clock::System,
    };
    let _lock = store.make_lock(Duration::from_secs(1))?;
    let present = snapshot::present(&store, false)?;
    let why = Why { reason: "bench".into(), ..Why::default() };
    println!("{}", snapshot::capture(&store, &present, &why)?.id);
    Ok(())
}
