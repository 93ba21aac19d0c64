//! `rust-write [--as rust|legacy] [--accept] PATH [CONTENT | --delete]…`: writes network files through the
//! very library call that pvenet and the daemon use, as one operation. For tests and the demo.

use history::journal::Backend;
use history::{Operation, Store};
use host::{Clock, Error, Result, Root};

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-write: {error}");
            std::process::ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run() -> Result<()> {
    let store: Store = ctl::policy()?.store(&Root::from_env(), Clock::System);
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|a| a == "--accept") {
        let paths: Vec<_> = arguments[1..].iter().map(std::path::Path::new).collect();
        return history::accept(&store, "admin", "named by a test", &paths);
    }
    let mut backend = Backend::Rust;
    if arguments.first().is_some_and(|a| a == "--as") {
        backend = if arguments.get(1).is_some_and(|a| a == "legacy") { Backend::Legacy } else { Backend::Rust };
        arguments.drain(..2.min(arguments.len()));
    }
    let mut operation = Operation::begin(&store, backend, "rust-write", "rust-basic-write")?;
    for pair in arguments.chunks(2) {
        let [path, content] = pair else { return Err(Error::of(host::Kind::Usage, "paths and contents go in pairs")) };
        operation.stage(path, (content != "--delete").then(|| content.clone().into_bytes()))?;
    }
    if let Some(id) = operation.commit()? {
        println!("{id}");
    }
    Ok(())
}
