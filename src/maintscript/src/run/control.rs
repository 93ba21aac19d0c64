//! Is this package what its maker signed? Asked of our own control files before unpacking, of our
//! successor's while it still lies in `tmp.ci`, and of the files once they are unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use history::state::FORMAT;
use host::{Error, Kind, Result, files};
use seal::installed::{Options, Severity, check_installed};
use seal::manifest::{self, Manifest};
use seal::policy::{Mode, Source, trusted_keys};
use seal::unpacked::{Naming, check_unpacked_control, digest_of_control_dir, verify_manifest, verify_unpacked_control};
use serde::{Deserialize, Serialize};

use super::Runner;

/// Where an operator lets one version through that the keys refuse. Works without any tool.
const OVERRIDES: &str = "/etc/debseal/override";

/// `seal.json`: what signed versions this machine has seen. Here a newer format is read as far as
/// it can be, and what can't be read counts as a signed version: a downgrade or a damaged disk is
/// no way round the keys.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Seen {
    format: u64,
    /// The highest `minimum-version` of a signed version ever installed.
    minimum_version: Option<String>,
    /// Whether the version that is installed was signed.
    signed: bool,
    /// What a later version knows besides.
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// What the keys say of a folder of control files.
struct Judged {
    manifest: Manifest,
    signed: bool,
}

impl Runner<'_> {
    /// Refuses our own unpacking if the control files are not as sealed, or not as trusted.
    pub(super) fn check_own_control(&self) -> Result<()> {
        let (folder, naming) = &self.cx.control;
        let judged = self.judge(folder, naming, None);
        match judged {
            Ok(judged) if judged.signed => Ok(()),
            Ok(judged) => {
                self.say(format_args!(
                    "version {} is not signed by a key that is trusted here",
                    judged.manifest.version
                ));
                Ok(())
            }
            Err(error) => self.unless_overridden(folder, error),
        }
    }

    /// Refuses our successor by emptying `tmp.ci`, so that none of its code runs.
    pub(super) fn judge_successor(&self, new: &str) -> Result<()> {
        let folder = self.cx.tmp_ci();
        let error = match self.judge(&folder, &Naming::Plain, Some(new)) {
            Ok(judged) if judged.signed => return Ok(()),
            Ok(_) => {
                self.say(format_args!("version {new} is not signed by a key that is trusted here"));
                return Ok(());
            }
            Err(error) => error,
        };
        let refused = self.unless_overridden(&folder, error.context(format_args!("version {new} is refused")));
        if refused.is_err() {
            empty(&folder)?;
        }
        refused
    }

    fn judge(&self, folder: &Path, naming: &Naming, version: Option<&str>) -> Result<Judged> {
        let package = &self.cx.policy.package;
        let trusted = trusted_keys(&self.cx.root, package, &self.cx.keyring)?;
        let seen = self.seen();
        let demanded = match (&trusted.source, trusted.mode) {
            (Source::Policy(file), Mode::Enforce) => Some(format!("{} demands a signature", file.display())),
            (Source::Policy(_), Mode::Warn) => None,
            _ if seen.signed => Some("a signed version is installed".to_owned()),
            _ => None,
        };
        let signed = naming.path(folder, manifest::SIGNATURE_NAME).exists();
        let judged = if signed && !trusted.keyring.is_empty() {
            match verify_unpacked_control(folder, naming, &trusted.keyring, package, version, SystemTime::now()) {
                Ok(verified) => Judged { manifest: verified.manifest, signed: true },
                Err(error) if trusted.mode == Mode::Warn => {
                    self.say(format_args!("{error}; the policy only warns"));
                    Judged { manifest: check_unpacked_control(folder, naming, package, version)?, signed: false }
                }
                Err(error) => return Err(error),
            }
        } else if let Some(why) = demanded {
            let what = if signed { "signed, but no key is trusted here" } else { "not signed" };
            return Err(Error::of(Kind::SignatureRefused, format!("{}: it is {what}, and {why}", folder.display())));
        } else {
            Judged { manifest: check_unpacked_control(folder, naming, package, version)?, signed: false }
        };
        for minimum in [seen.minimum_version, trusted.minimum_version].into_iter().flatten() {
            if seal::version::compare(&judged.manifest.version, &minimum)?.is_lt() {
                return Err(Error::of(
                    Kind::SignatureRefused,
                    format!("version {} is older than {minimum}, the least allowed here", judged.manifest.version),
                ));
            }
        }
        Ok(judged)
    }

    /// A refusal stands, unless the operator named this very folder of control files.
    fn unless_overridden(&self, folder: &Path, error: Error) -> Result<()> {
        // A folder that can't even be listed has no digest, and the first error is the one to tell.
        let Ok(digest) = digest_of_control_dir(folder) else { return Err(error.with_kind(Kind::SignatureRefused)) };
        let inside = self.override_file();
        let allowed = files::read_plain(&self.cx.root.resolve(&inside)?, 4096).ok().flatten().unwrap_or_default();
        if String::from_utf8_lossy(&allowed).split_whitespace().any(|word| word == digest) {
            self.say(format_args!("{error}; let through by {}", inside.display()));
            return Ok(());
        }
        Err(error.with_kind(Kind::SignatureRefused).way_out(format_args!(
            "to let this very version through all the same: mkdir -p {OVERRIDES} && echo {digest} > {}",
            inside.display()
        )))
    }

    fn override_file(&self) -> PathBuf {
        Path::new(OVERRIDES).join(&self.cx.policy.package)
    }

    fn seen(&self) -> Seen {
        let path = self.cx.store.path("seal.json");
        let parsed = match files::read_plain(&path, 1 << 16) {
            Ok(None) => return Seen::default(),
            Ok(Some(bytes)) => serde_json::from_slice::<Seen>(&bytes).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match parsed {
            Ok(seen) => Seen { signed: seen.signed || seen.format > FORMAT, ..seen },
            Err(why) => {
                self.say(format_args!("{} is damaged ({why}): a signed version counts as installed", path.display()));
                Seen { signed: true, ..Seen::default() }
            }
        }
    }

    /// Compares what dpkg unpacked with the manifest.
    pub(super) fn check_files(&self) -> Result<()> {
        let foreign_owners = !self.cx.root.is_system();
        let findings =
            check_installed(&self.cx.root, &self.cx.admindir, &self.cx.policy.package, Options { foreign_owners })?;
        let (errors, warnings): (Vec<_>, Vec<_>) = findings.iter().partition(|f| f.severity == Severity::Error);
        for finding in warnings.iter().take(3) {
            self.say(format_args!("{} {}", finding.path, finding.what));
        }
        if warnings.len() > 3 {
            self.say(format_args!("and {} more documents", warnings.len() - 3));
        }
        let Some(first) = errors.first() else { return Ok(()) };
        let more = if errors.len() > 1 { format!(", and {} more", errors.len() - 1) } else { String::new() };
        Err(Error::new(format!("the unpacked files are not those of the package: {} {}{more}", first.path, first.what))
            .way_out(format_args!("if they can't be mended: apt-get install --reinstall {}", self.cx.policy.package)))
    }

    /// Remembers what a signed version demands of its successors, and drops a used override.
    pub(super) fn remember(&self) -> Result<()> {
        let (folder, naming) = &self.cx.control;
        let trusted = trusted_keys(&self.cx.root, &self.cx.policy.package, &self.cx.keyring);
        // The files themselves were compared with it when the unpacked files were.
        let verified = trusted
            .and_then(|t| verify_manifest(folder, naming, &t.keyring, SystemTime::now()))
            .ok()
            .filter(|manifest| manifest.package == self.cx.policy.package);
        let mut seen = self.seen();
        seen.format = seen.format.max(FORMAT);
        seen.signed = verified.is_some();
        if let Some(minimum) = verified.and_then(|manifest| manifest.minimum_version) {
            let higher = match &seen.minimum_version {
                Some(known) => seal::version::compare(&minimum, known)?.is_gt(),
                None => true,
            };
            if higher {
                seen.minimum_version = Some(minimum);
            }
        }
        history::state::write(&self.cx.store.path("seal.json"), &seen, 0o644)?;
        files::remove(&self.cx.root.resolve(self.override_file())?).map(drop)
    }
}

/// dpkg then finds "no script in the new version" and gives the upgrade up.
fn empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(|e| Error::io(format!("cannot list {}", folder.display()), e))?.flatten()
    {
        files::remove_tree(&entry.path())?;
    }
    Ok(())
}
