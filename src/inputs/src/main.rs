//! `inputs DIR`: writes the good samples of each input into `DIR/<input>/`, for a fuzzer to begin with.

use std::path::PathBuf;
use std::process::ExitCode;

use host::{IoContext, Result};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder] = args.as_slice() else {
        eprintln!("usage: inputs DIR");
        return ExitCode::from(host::Kind::Usage.exit_code());
    };
    match write(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inputs: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn write(folder: &std::path::Path) -> Result<()> {
    for input in inputs::ALL {
        let folder = folder.join(input.name);
        let doing = || format!("cannot write {}", folder.display());
        std::fs::create_dir_all(&folder).doing(doing)?;
        for (number, sample) in inputs::samples::of(input.name).iter().enumerate() {
            std::fs::write(folder.join(format!("sample-{number}")), sample).doing(doing)?;
        }
    }
    Ok(())
}
