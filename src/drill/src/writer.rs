//! The package's own code, writing captured files: what the package's programs do by the library call
//! that they all use. On a machine this very program runs as the writer, so that its calls can be
//! stepped like a maintainer script's.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use host::{IoContext, Result};
use maintscript::Policy;

use crate::seed;

/// The folder that holds packages and the drill's own things; commands run in it.
pub const FOLDER: &str = "/root/drill";

/// The writer's name.
pub const NAME: &str = "drill-writer";
/// The policy that it reads.
const POLICY: &str = "hooks.toml";

/// Whether this program was started as the writer.
pub fn is_meant(args: &[OsString]) -> bool {
    args.first().is_some_and(|name| Path::new(name).file_name().is_some_and(|n| n == NAME))
}

/// `drill-writer STATE`: writes the files of that state as one operation.
pub fn main(args: &[OsString]) -> ExitCode {
    let state = args.get(1).map(|a| a.to_string_lossy().into_owned()).unwrap_or_default();
    let path = Path::new(FOLDER).join(POLICY);
    let done = fs::read_to_string(&path)
        .doing(|| format!("cannot read {}", path.display()))
        .and_then(|text| Policy::parse(&text))
        .and_then(|policy| seed::trial(&policy, &state));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Its code says it; nobody may be listening.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Puts the writer on the machine that this runs on.
pub fn put(program: &[u8], policy: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = Path::new(FOLDER).join(NAME);
    let doing = || format!("cannot write {}", path.display());
    fs::write(&path, program).doing(doing)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).doing(doing)?;
    fs::write(path.with_file_name(POLICY), policy).doing(doing)
}

/// Its command line.
pub fn command(state: &str) -> Vec<String> {
    vec![format!("{FOLDER}/{NAME}"), state.to_owned()]
}
