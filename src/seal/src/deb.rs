//! A whole package: reading it strictly, judging its seal and its signatures, writing it.
//!
//! Nothing of `data.tar` is decompressed before the signature over it holds; the control archive is
//! read before, because only it says which package this is and so which keys count.

mod check;
mod verify;

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use host::{IoContext, Result};

use crate::ar::{self, Members};
use crate::compress;
use crate::control::Control;
use crate::manifest::{self, Entry, Manifest};
use crate::refuse::refused;
use crate::tarball::{self, ControlMember};

pub use check::check_hooks;
pub use verify::{Verified, verify_deb};

/// A package file that has the one shape that is taken, with its control archive in memory.
#[derive(Debug)]
pub struct Deb {
    path: PathBuf,
    file: File,
    members: Members,
    /// `control.tar.*` as stored.
    stored_control: Vec<u8>,
    files: Vec<ControlMember>,
    control: Control,
}

impl Deb {
    /// Opens a package and reads its control archive. Refusals name the file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).doing(|| format!("cannot open {}", path.display()))?;
        let regular = file.metadata().doing(|| format!("cannot open {}", path.display()))?.is_file();
        if !regular {
            return Err(refused(format!("{} is not a regular file", path.display())));
        }
        Self::read(path, &mut file).map_err(|e| e.context(path.display())).map(
            |(members, stored_control, files, control)| Self {
                path: path.to_owned(),
                file,
                members,
                stored_control,
                files,
                control,
            },
        )
    }

    #[allow(clippy::type_complexity, reason = "the parts of Self, named there")]
    fn read(path: &Path, file: &mut File) -> Result<(Members, Vec<u8>, Vec<ControlMember>, Control)> {
        let members = ar::read(file)?;
        let mut stored = Vec::with_capacity(members.control.size as usize);
        let doing = || format!("cannot read {}", path.display());
        ar::content(file, &members.control)?.read_to_end(&mut stored).doing(doing)?;
        let files = tarball::control_members(&members.control.name, &mut &stored[..])?;
        let control = files.iter().find(|f| f.name == "control");
        let control = control.ok_or_else(|| refused("the control archive has no control file"))?;
        let control = Control::parse(&control.bytes)?;
        Ok((members, stored, files, control))
    }

    /// The file's own name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its members, in their places.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Its control file.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Its control archive, in order.
    pub fn control_files(&self) -> &[ControlMember] {
        &self.files
    }

    /// One file of the control archive.
    pub fn control_file(&self, name: &str) -> Option<&ControlMember> {
        self.files.iter().find(|f| f.name == name)
    }

    /// The bytes of its manifest; refused if it is not sealed.
    pub fn sealed(&self) -> Result<&[u8]> {
        let file = self.control_file(manifest::NAME).ok_or_else(|| {
            refused("it is not sealed: its control archive has no manifest").way_out("seal it with debseal seal")
        })?;
        Ok(&file.bytes)
    }

    /// Its manifest, read but compared with nothing; refused if it is not sealed.
    pub fn manifest(&self) -> Result<Manifest> {
        Manifest::parse(self.sealed()?)
    }

    /// `_gpgorigin`, where there is one.
    pub fn signature(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(member) = self.members.signature.clone() else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let doing = || "cannot read _gpgorigin";
        ar::content(&mut self.file, &member)?.read_to_end(&mut bytes).doing(doing)?;
        Ok(Some(bytes))
    }

    /// Everything that `_gpgorigin` signs, in order.
    pub fn signed(&mut self) -> Result<impl Read + Send + '_> {
        let data = ar::content(&mut self.file, &self.members.data)?;
        Ok(ar::FORMAT_VERSION.chain(&self.stored_control[..]).chain(data))
    }

    /// What `_gpgorigin` would sign if `control` stood in place of the stored control archive.
    pub fn signed_with<'a>(&'a mut self, control: &'a [u8]) -> Result<impl Read + Send + 'a> {
        Ok(ar::FORMAT_VERSION.chain(control).chain(self.data()?))
    }

    /// `data.tar.*` as stored.
    pub fn data(&mut self) -> Result<impl Read + Send + '_> {
        let member = self.members.data.clone();
        ar::content(&mut self.file, &member)
    }

    /// `data.tar`, decompressed and held in memory.
    pub fn plain_data(&mut self) -> Result<Vec<u8>> {
        let member = self.members.data.clone();
        let mut content = ar::content(&mut self.file, &member)?;
        let mut reader = compress::Bounded::new(&member.name, &mut content, compress::DATA)?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|e| compress::damaged(&e))?;
        reader.finish()?;
        Ok(bytes)
    }

    /// Every path of the payload.
    pub fn payload(&mut self) -> Result<Vec<Entry>> {
        let member = self.members.data.clone();
        let mut content = ar::content(&mut self.file, &member)?;
        tarball::payload(&member.name, &mut content)
    }
}

/// Writes a package: `control` (from [`tarball::control_archive`]) as `control.tar.xz`, the payload
/// of `from` byte for byte, and a signature if there is one. Every member gets `source_date`.
pub fn write<W: Write>(
    out: W,
    source_date: u64,
    control: &[u8],
    from: &mut Deb,
    signature: Option<&[u8]>,
) -> Result<W> {
    let (data_name, data_size) = (from.members.data.name.clone(), from.members.data.size);
    let mut writer = ar::Writer::new(out, source_date)?;
    let version = ar::FORMAT_VERSION;
    writer.member("debian-binary", version.len() as u64, &mut &version[..])?;
    writer.member("control.tar.xz", control.len() as u64, &mut &control[..])?;
    writer.member(&data_name, data_size, &mut from.data()?)?;
    if let Some(signature) = signature {
        writer.member(ar::SIGNATURE, signature.len() as u64, &mut &signature[..])?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests;
