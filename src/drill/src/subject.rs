//! The package under test, and the packages that come into its way.
//!
//! dpkg is run on them thousands of times, so each is written anew without compression. The control
//! files and the payload stay byte for byte what they were, and so does what a manifest says of them; but
//! with `--light`, where long files are cut and the manifest tells so.

use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result};
use maintscript::Policy;
use seal::ar;
use seal::deb::Deb;
use seal::manifest::{self, HOOKS, Kind, Manifest};
use seal::tarball::{self, ControlMember};

/// What the drill knows of the package.
#[derive(Debug)]
pub struct Subject {
    /// Its policy: from its hooks, or from `--hooks`.
    pub policy: Policy,
    /// The text that says it.
    pub hooks: String,
    /// The version under test.
    pub version: String,
    /// Paths that it ships, directories included.
    pub payload: Vec<PathBuf>,
    /// A program that it ships.
    pub program: Option<PathBuf>,
    /// The program that writes as the package's own code does, where it keeps a journal.
    pub writer: Option<Vec<u8>>,
    /// Whether it was signed, and is tried without that signature.
    pub unsigned: bool,
    /// Packages by the name of their file.
    pub debs: Vec<(&'static str, Vec<u8>)>,
}

/// The package under test.
pub const NEW: &str = "new.deb";
/// Its predecessor.
pub const OLD: &str = "old.deb";
/// One that conflicts with it and replaces it.
pub const CONFLICT: &str = "conflict.deb";
/// One that breaks it.
pub const BREAKS: &str = "breaks.deb";
/// One that ships every file of it, so that it disappears.
pub const TAKEOVER: &str = "takeover.deb";

/// What `--light` leaves of each file, in bytes: more than any script, configuration or unit has.
const LIGHT: u64 = 64 << 10;

impl Subject {
    /// Reads the package, its predecessor (made from it if there is none), and the policy that it
    /// carries or that `hooks` holds. `light`: with its long files cut.
    ///
    /// A predecessor that is made here can't be signed, and may not follow a signed version. So without
    /// `old` the package's own signature is left out as well.
    pub fn read(new: &Path, old: Option<&Path>, hooks: Option<&Path>, light: bool) -> Result<Self> {
        let mut deb = Deb::open(new)?;
        let own = || std::fs::read("/proc/self/exe").doing(|| "cannot read this program");
        let writer = if hooks.is_none() { Some(own()?) } else { None };
        let hooks = policy_text(&deb, hooks).map_err(|e| e.context(new.display()))?;
        let policy = Policy::parse(&hooks).map_err(|e| e.context(new.display()))?;
        if deb.control().package() != policy.package {
            return Err(Error::new(format!(
                "{} is package {}, its policy is for {}",
                new.display(),
                deb.control().package(),
                policy.package
            )));
        }
        let payload = deb.payload()?;
        let path = |e: &manifest::Entry| PathBuf::from(String::from_utf8_lossy(&e.path_bytes()).into_owned());
        let program = payload.iter().find(|e| e.kind == Kind::File && e.target.is_none() && e.mode & 0o111 != 0);
        let mut subject = Self {
            version: deb.control().version().to_owned(),
            program: program.map(path),
            payload: payload.iter().map(path).collect(),
            policy,
            hooks,
            writer,
            unsigned: old.is_none() && deb.control_file(manifest::SIGNATURE_NAME).is_some(),
            debs: Vec::new(),
        };
        let keep = if old.is_some() { Signature::Kept } else { Signature::LeftOut };
        let (files, data) = content(&mut deb, light, keep).map_err(|e| e.context(new.display()))?;
        let before = match old {
            Some(old) => {
                let (files, data) = Deb::open(old)
                    .and_then(|mut deb| content(&mut deb, light, keep))
                    .map_err(|e| e.context(old.display()))?;
                write(&files, &data)?
            }
            None => write(&predecessor(&files, &subject.version)?, &data)?,
        };
        let name = subject.policy.package.clone();
        subject.debs = vec![
            (NEW, write(&files, &data)?),
            (OLD, before),
            (
                CONFLICT,
                stranger(
                    "drill-conflict",
                    &format!("Conflicts: {name}\nReplaces: {name}\nProvides: {name}\n"),
                    &EMPTY,
                )?,
            ),
            (BREAKS, stranger("drill-breaks", &format!("Breaks: {name}\n"), &EMPTY)?),
            (TAKEOVER, stranger("drill-takeover", &format!("Replaces: {name}\n"), &data)?),
        ];
        Ok(subject)
    }
}

/// What becomes of a package's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    Kept,
    LeftOut,
}

/// Control files and payload.
fn content(deb: &mut Deb, light: bool, signature: Signature) -> Result<(Vec<ControlMember>, Vec<u8>)> {
    let (mut files, data) = (deb.control_files().to_vec(), deb.plain_data()?);
    if signature == Signature::LeftOut {
        files.retain(|f| f.name != manifest::SIGNATURE_NAME);
    }
    if !light {
        return Ok((files, data));
    }
    if files.iter().any(|f| f.name == manifest::SIGNATURE_NAME) {
        return Err(
            Error::new("it is signed, and a signed package can't be cut").way_out("leave out --light, or --old")
        );
    }
    let data = tarball::cut_payload(&data, LIGHT)?;
    if let Some(sealed) = files.iter_mut().find(|f| f.name == manifest::NAME) {
        let mut manifest = Manifest::parse(&sealed.bytes)?;
        manifest.payload = tarball::payload("data.tar", &mut &data[..])?;
        sealed.bytes = manifest.to_bytes()?;
    }
    Ok((files, data))
}

/// An archive without a member.
const EMPTY: [u8; 1024] = [0; 1024];

fn policy_text(deb: &Deb, hooks: Option<&Path>) -> Result<String> {
    if let Some(path) = hooks {
        return std::fs::read_to_string(path).doing(|| format!("cannot read {}", path.display()));
    }
    let hook = HOOKS.iter().find_map(|name| deb.control_file(name));
    let carried = hook.and_then(|file| seal::trailer::parse(&file.bytes).transpose()).transpose()?;
    let carried = carried.ok_or_else(|| {
        Error::new("its maintainer scripts carry no hooks.toml").way_out("say what it captures with --hooks FILE")
    })?;
    Ok(String::from_utf8_lossy(&carried.policy).into_owned())
}

/// The same control files, without a signature, as those of a version just below.
fn predecessor(files: &[ControlMember], version: &str) -> Result<Vec<ControlMember>> {
    let older = format!("{version}~drill");
    let mut out: Vec<ControlMember> = files.to_vec();
    for file in out.iter_mut().filter(|f| f.name == "control") {
        let text = String::from_utf8_lossy(&file.bytes).into_owned();
        let line = |line: &str| match line.starts_with("Version:") {
            true => format!("Version: {older}\n"),
            false => format!("{line}\n"),
        };
        file.bytes = text.lines().map(line).collect::<String>().into_bytes();
    }
    let Some(sealed) = out.iter().position(|f| f.name == manifest::NAME) else { return Ok(out) };
    let mut manifest = Manifest::parse(&out[sealed].bytes)?;
    out.remove(sealed);
    manifest.version = older;
    manifest.control = out.iter().map(ControlMember::entry).collect();
    out.push(ControlMember { name: manifest::NAME.into(), mode: 0o644, bytes: manifest.to_bytes()? });
    Ok(out)
}

/// A package without scripts.
fn stranger(name: &str, fields: &str, data: &[u8]) -> Result<Vec<u8>> {
    let text = format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: Drill <drill@example.invalid>\n{fields}Description: made for a drill\n"
    );
    write(&[ControlMember { name: "control".into(), mode: 0o644, bytes: text.into_bytes() }], data)
}

fn write(control: &[ControlMember], data: &[u8]) -> Result<Vec<u8>> {
    let control = tarball::plain_control_archive(control, 0)?;
    let mut writer = ar::Writer::new(Vec::new(), 0)?;
    for (name, bytes) in [("debian-binary", ar::FORMAT_VERSION), ("control.tar", &control[..]), ("data.tar", data)] {
        writer.member(name, bytes.len() as u64, &mut &bytes[..])?;
    }
    writer.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_left_out_unless_the_predecessor_may_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| ControlMember { name: name.into(), mode: 0o644, bytes: text.into() };
        let control = "Package: demo\nVersion: 1\nArchitecture: amd64\nMaintainer: T <t@example.org>\nDescription: x\n";
        let members = [file("control", control), file(manifest::SIGNATURE_NAME, "signature")];
        let (deb, hooks) = (dir.path().join("demo.deb"), dir.path().join("hooks.toml"));
        std::fs::write(&deb, write(&members, &EMPTY).unwrap()).unwrap();
        std::fs::write(&hooks, "format = 1\npackage = \"demo\"\nstate = \"/var/lib/demo\"\n").unwrap();
        let signed = |subject: &Subject, name: &str| {
            let (_, bytes) = subject.debs.iter().find(|(deb, _)| *deb == name).unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Deb::open(&path).unwrap().control_file(manifest::SIGNATURE_NAME).is_some()
        };
        let alone = Subject::read(&deb, None, Some(&hooks), false).unwrap();
        assert!(alone.unsigned && !signed(&alone, NEW) && !signed(&alone, OLD));
        let follows = Subject::read(&deb, Some(&deb), Some(&hooks), false).unwrap();
        assert!(!follows.unsigned && signed(&follows, NEW) && signed(&follows, OLD));
    }
}
