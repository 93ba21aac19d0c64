//! `debseal install`: verify, then install, where the gate is not there yet.
//!
//! What is installed is the copy that was verified, in a folder that only root can reach: nobody can
//! put another file in its place in between.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use host::{Command, Error, IoContext, Kind, Result, Root};
use seal::deb;
use seal::policy::{self, Mode, Source, TrustedKeys};

use crate::cli::InstallArgs;
use crate::gate::allow::Scratch;
use crate::verifying::moment;
use crate::{Outcome, output};

/// Installing may take long on a slow disk, and must not be killed half-way by us.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn run(args: &InstallArgs) -> Outcome {
    install(args).into()
}

fn install(args: &InstallArgs) -> Result<Outcome> {
    let root = Root::system();
    let given = output::read_keys(&args.keys)?;
    let keys = |package: &str| match given.is_empty() {
        true => policy::trusted_keys(&root, package, b""),
        false => {
            let keyring = given.clone();
            Ok(TrustedKeys { keyring, source: Source::Given, mode: Mode::Enforce, minimum_version: None })
        }
    };
    let scratch = Scratch::new(&root)?;
    let mut copies: Vec<PathBuf> = Vec::new();
    let mut outcome = Outcome::default();
    for (number, file) in args.files.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().replace(|c: char| c.is_control(), "?");
        // Numbered, since two files of one name may lie in two folders.
        let copy = scratch.path.join(format!("{number}-{name}"));
        let mut from = File::open(file).doing(|| format!("cannot open {}", file.display()))?;
        if !from.metadata().doing(|| format!("cannot open {}", file.display()))?.is_file() {
            return Err(Error::of(Kind::SignatureRefused, format!("{} is not a regular file", file.display())));
        }
        let mut to = host::files::create_new(&copy)?;
        std::io::copy(&mut from, &mut to).doing(|| format!("cannot copy {}", file.display()))?;
        let verified = deb::Deb::open(&copy).and_then(|mut deb| deb.verify(&keys, SystemTime::now())).map_err(|e| {
            let text = e.to_string();
            let prefix = format!("{}: ", copy.display());
            Error::of(e.kind(), text.strip_prefix(&prefix).unwrap_or(&text)).context(file.display())
        })?;
        outcome.notes.push(format!(
            "{}: {} {}, signed {} by {}",
            file.display(),
            verified.manifest.package,
            verified.manifest.version,
            moment(verified.signer.created),
            verified.signer
        ));
        copies.push(copy);
    }
    if args.dry_run {
        outcome.out = "good; nothing was installed (--dry-run)\n".to_owned();
        return Ok(outcome);
    }
    let words = copies.iter().map(|copy| copy.display().to_string());
    let ran = Command::new("dpkg").args(["-i".to_owned()]).args(words).patience(PATIENCE).run()?;
    outcome.out = ran.stdout;
    outcome.notes.extend(ran.stderr.lines().map(str::to_owned));
    if ran.code != Some(0) {
        outcome.errors.push(Error::new("dpkg could not install it; the lines above say why").way_out("dpkg --audit"));
    }
    Ok(outcome)
}
