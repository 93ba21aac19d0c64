//! `pages OUTDIR`: called by the build before the packages are put together.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [outdir] = args.as_slice() else {
        eprintln!("usage: pages OUTDIR");
        return ExitCode::from(host::Kind::Usage.exit_code());
    };
    match pages::write_all(&PathBuf::from(outdir)) {
        Ok(count) => {
            eprintln!("{count} files in {}", outdir.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pages: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}
