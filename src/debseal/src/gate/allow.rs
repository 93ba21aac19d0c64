//! `debseal allow`: one very file passes the gate once, and it stays known who let it and why.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use host::files::{self, Attributes};
use host::{Command, Error, IoContext, Kind, Result, Root};
use phase::Who;
use seal::unpacked::{Naming, digest_of_control_dir};
use seal::{hex, manifest};
use serde::{Deserialize, Serialize};

use super::identify;
use super::log::{self, Event};
use crate::cli::AllowArgs;
use crate::{Outcome, verifying};

/// A file for each that is allowed, named by its SHA-256.
const FOLDER: &str = "/var/lib/debseal/allowed";
/// Where the maintainer scripts look for theirs (docs/operators-guide.md).
const OVERRIDES: &str = "/etc/debseal/override";
/// Version of the format.
const FORMAT: u32 = 1;

/// What stands in such a file. Readers skip fields that they don't know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Allowed {
    pub(crate) format: u32,
    pub(crate) sha256: String,
    pub(crate) file: String,
    pub(crate) package: String,
    pub(crate) version: String,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) time: String,
}

pub(crate) fn run(args: &AllowArgs) -> Outcome {
    allow(args).into()
}

fn allow(args: &AllowArgs) -> Result<Outcome> {
    if args.reason.trim().is_empty() {
        return Err(Error::of(Kind::Usage, "--reason is empty; say why this file shall pass"));
    }
    let root = Root::system();
    let identity = identify(&args.file).map_err(|e| e.context(args.file.display()))?;
    let allowed = Allowed {
        format: FORMAT,
        sha256: digest(&args.file)?,
        file: fs::canonicalize(&args.file).unwrap_or_else(|_| args.file.clone()).display().to_string(),
        package: identity.package,
        version: identity.version,
        reason: args.reason.clone(),
        by: Who::here("debseal").name(),
        time: verifying::moment(SystemTime::now()),
    };
    // Nothing passes that is not written down.
    log::append(
        &root,
        &Event {
            event: "allowed",
            by: allowed.by.clone(),
            file: allowed.file.clone(),
            package: allowed.package.clone(),
            version: allowed.version.clone(),
            sha256: allowed.sha256.clone(),
            why: allowed.reason.clone(),
        },
    )?;
    let folder = root.path(FOLDER);
    files::create_dirs(&folder, 0o755)?;
    let bytes = serde_json::to_vec(&allowed).map_err(|e| Error::new(format!("cannot write {FOLDER}: {e}")))?;
    files::replace(&place(&root, &allowed.sha256), &bytes, &Attributes::mode(0o600))?;
    let mut outcome = Outcome::data(format!(
        "{}: {} {} passes the gate once\n",
        args.file.display(),
        allowed.package,
        allowed.version
    ));
    outcome.notes.extend(tell_scripts(&root, args, &allowed.package)?);
    Ok(outcome)
}

/// The installed version's prerm and the file's own preinst judge as well; they are told by the digest
/// of the control files.
fn tell_scripts(root: &Root, args: &AllowArgs, package: &str) -> Result<Option<String>> {
    let info = root.path("/var/lib/dpkg/info");
    let unpacked = Scratch::new(root)?;
    let control = unpacked.path.join("control");
    let words = [args.file.display().to_string(), control.display().to_string()];
    let out = Command::new("dpkg-deb").args(["--control".to_owned()]).args(words).run()?;
    if !out.success() {
        return Ok(Some(format!("dpkg-deb can't unpack it: {}", out.stderr.trim())));
    }
    if Naming::of_installed(&info, package)?.is_none() && !control.join(manifest::NAME).exists() {
        return Ok(None);
    }
    let digest = digest_of_control_dir(&control)?;
    let path = root.resolve(Path::new(OVERRIDES).join(package))?;
    if let Some(folder) = path.parent() {
        files::create_dirs(folder, 0o755)?;
    }
    files::replace(&path, format!("{digest}\n").as_bytes(), &Attributes::mode(0o644))?;
    Ok(Some(format!("the maintainer scripts are told by {OVERRIDES}/{package}")))
}

/// A folder of our own that goes with the value.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

impl Scratch {
    /// Below `/run`, where nobody but root can make names.
    pub(crate) fn new(root: &Root) -> Result<Self> {
        let path = files::beside(&root.path("/run/debseal"), "work");
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).doing(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // In a folder that goes with the next boot.
        let _ = files::remove_tree(&self.path);
    }
}

/// Whether this very file is allowed.
pub(crate) fn find(root: &Root, path: &Path) -> Option<Allowed> {
    // Mostly there is none, and a large file need not be read.
    fs::read_dir(root.path(FOLDER)).ok()?.next()?.ok()?;
    let digest = digest(path).ok()?;
    let bytes = files::read_plain(&place(root, &digest), 1 << 16).ok().flatten()?;
    serde_json::from_slice::<Allowed>(&bytes).ok().filter(|a| a.sha256 == digest && a.format == FORMAT)
}

/// Every file that is still allowed.
pub(crate) fn pending(root: &Root) -> Vec<Allowed> {
    let entries = fs::read_dir(root.path(FOLDER)).into_iter().flatten().flatten();
    let read = |path: PathBuf| files::read_plain(&path, 1 << 16).ok().flatten();
    let mut all: Vec<Allowed> = entries.filter_map(|e| serde_json::from_slice(&read(e.path())?).ok()).collect();
    all.sort_by(|a, b| a.time.cmp(&b.time));
    all
}

/// It was let through: not a second time. What to say if that can't be written.
pub(crate) fn used(root: &Root, allowed: &Allowed) -> Option<String> {
    files::remove(&place(root, &allowed.sha256)).err().map(|e| format!("{e}; it stays allowed"))
}

fn place(root: &Root, digest: &str) -> PathBuf {
    root.path(FOLDER).join(format!("{digest}.json"))
}

fn digest(path: &Path) -> Result<String> {
    let doing = || format!("cannot read {}", path.display());
    let mut file = File::open(path).doing(doing)?;
    Ok(hex::sha256_reader(&mut file).doing(doing)?.1)
}
