//! The seal: does the package hold exactly what its manifest says? No keys are involved.

use host::Result;

use super::Deb;
use crate::ar::Member;
use crate::manifest::{HOOKS, Manifest, NAME, SIGNATURE_NAME};
use crate::openpgp::Keyring;
use crate::refuse::refused;
use crate::tarball::ControlMember;
use crate::trailer::{self, Trailer};

/// The mode that every ar member of a sealed package has.
const MEMBER_MODE: u32 = 0o100_644;

impl Deb {
    /// Judges everything but the payload: member headers, control files, hooks, identity.
    pub fn check_control_seal(&self) -> Result<(Manifest, Trailer)> {
        let manifest = self.manifest()?;
        manifest.check_identity(&self.control)?;
        let listed: Vec<_> = self
            .files
            .iter()
            .filter(|f| ![NAME, SIGNATURE_NAME].contains(&&*f.name))
            .map(ControlMember::entry)
            .collect();
        manifest.check_control(&listed, true)?;
        for file in self.files.iter().filter(|f| [NAME, SIGNATURE_NAME].contains(&&*f.name)) {
            if file.mode != 0o644 {
                return Err(refused(format!("{} has mode {:04o}, not 0644", file.name, file.mode)));
            }
        }
        let members = &self.members;
        for member in [&members.binary, &members.control, &members.data] {
            check_header(member, manifest.source_date)?;
        }
        if let Some(member) = &members.signature {
            check_signature_header(member, manifest.source_date)?;
        }
        let trailer = check_hooks(&self.files)?;
        Ok((manifest, trailer))
    }

    /// Judges the whole seal, payload included.
    pub fn check_seal(&mut self) -> Result<(Manifest, Trailer)> {
        let (manifest, trailer) = self.check_control_seal()?;
        manifest.check_payload(&self.payload()?)?;
        Ok((manifest, trailer))
    }
}

/// All four hooks are there, are the same program, and carry policy and keys.
pub fn check_hooks(files: &[ControlMember]) -> Result<Trailer> {
    let hook = |name: &str| {
        let file = files.iter().find(|f| f.name == name);
        file.ok_or_else(|| refused(format!("the maintainer script {name} is missing")))
    };
    let first = hook(HOOKS[0])?;
    for name in HOOKS {
        let file = hook(name)?;
        if file.bytes != first.bytes {
            return Err(refused(format!("{name} is another program than {}", HOOKS[0])));
        }
        if file.mode != 0o755 {
            return Err(refused(format!("{name} has mode {:04o}, not 0755", file.mode)));
        }
    }
    let trailer = trailer::parse(&first.bytes).map_err(|e| e.context(HOOKS[0]))?;
    let trailer = trailer.ok_or_else(|| refused("the maintainer scripts carry no hooks.toml"))?;
    Keyring::parse(&trailer.keyring).map_err(|e| e.context("the keys sealed into the hooks"))?;
    Ok(trailer)
}

/// No digest covers the headers, so they must say what the manifest says.
fn check_header(member: &Member, source_date: u64) -> Result<()> {
    if member.mtime != source_date {
        return Err(refused(format!(
            "the time of member {} is {}, the manifest says {source_date}",
            member.name, member.mtime
        )));
    }
    if (member.uid, member.gid, member.mode) != (0, 0, MEMBER_MODE) {
        return Err(refused(format!("owner or mode of member {} is not that of a package", member.name)));
    }
    Ok(())
}

/// debsigs has `ar` add the signature: with everything zero, and without the file type in its mode.
fn check_signature_header(member: &Member, source_date: u64) -> Result<()> {
    let by_ar = (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644);
    if by_ar { Ok(()) } else { check_header(member, source_date) }
}
