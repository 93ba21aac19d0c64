//! The outer container of a `.deb` (deb(5)): an `ar` archive of which exactly one shape is taken.
//!
//! ```text
//! "!<arch>\n"  debian-binary  control.tar.*  data.tar.*  [_gpgorigin]   and nothing else
//! ```
//!
//! The archive is walked from the front, as dpkg does, and whatever two readers could see in two
//! ways is refused: doubled, extra or reordered members, numbers with odd padding, bytes behind the
//! end. Member contents are never held in memory.

use std::io::{Read, Seek, SeekFrom, Write};

use host::{IoContext, Result};

use crate::refuse::refused;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: u64 = 60;
/// What the member `debian-binary` says.
pub const FORMAT_VERSION: &[u8] = b"2.0\n";
/// The name of the signature member.
pub const SIGNATURE: &str = "_gpgorigin";
/// No member is larger than what ten decimal digits can say; this is far below it.
const MAX_MEMBER: u64 = 8 << 30;
const MAX_CONTROL: u64 = 64 << 20;
const MAX_SIGNATURE: u64 = 1 << 20;

/// One member, as its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name without padding or trailing slash.
    pub name: String,
    /// Seconds since 1970.
    pub mtime: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// File mode, with the type bits if the writer gave them.
    pub mode: u32,
    /// Where its content begins in the file.
    pub offset: u64,
    /// Bytes of content.
    pub size: u64,
}

/// The members of a `.deb`, in their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// `debian-binary`.
    pub binary: Member,
    /// `control.tar.*`.
    pub control: Member,
    /// `data.tar.*`.
    pub data: Member,
    /// `_gpgorigin`, where there is one.
    pub signature: Option<Member>,
}

impl Members {
    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        [&self.binary, &self.control, &self.data].into_iter().chain(&self.signature)
    }
}

/// Walks the archive from the front and finds the members of a `.deb`.
pub fn read(file: &mut (impl Read + Seek)) -> Result<Members> {
    let doing = || "cannot read the archive";
    let end = file.seek(SeekFrom::End(0)).doing(doing)?;
    file.seek(SeekFrom::Start(0)).doing(doing)?;
    if end < MAGIC.len() as u64 || take::<8>(file)? != *MAGIC {
        return Err(refused("this is no .deb: it does not begin with '!<arch>'"));
    }
    let mut at = MAGIC.len() as u64;
    let mut slashes = Vec::new();
    let mut next = |at: &mut u64, place: Place| -> Result<Option<Member>> {
        if *at == end {
            return Ok(None);
        }
        if end - *at < HEADER {
            return Err(refused(match *at {
                8 => "the archive is cut off in its first header".to_owned(),
                _ => format!("there are {} bytes behind the last member", end - *at),
            }));
        }
        file.seek(SeekFrom::Start(*at)).doing(doing)?;
        let (member, slash) = header(&take::<60>(file)?, *at + HEADER)?;
        place.check(&member)?;
        slashes.push(slash);
        let behind = member.offset + member.size;
        if behind > end {
            return Err(refused(format!(
                "the archive is cut off: {} has {} bytes, {} are there",
                member.name,
                member.size,
                end - member.offset
            )));
        }
        *at = behind;
        if member.size % 2 == 1 {
            file.seek(SeekFrom::Start(behind)).doing(doing)?;
            if behind == end {
                return Err(refused(format!("the padding byte behind {} is missing", member.name)));
            }
            if take::<1>(file)? != *b"\n" {
                return Err(refused(format!("the padding byte behind {} is wrong", member.name)));
            }
            *at += 1;
        }
        Ok(Some(member))
    };
    let missing = |name: &str| refused(format!("member {name} is missing"));
    let binary = next(&mut at, Place::Binary)?.ok_or_else(|| missing("debian-binary"))?;
    let control = next(&mut at, Place::Control)?.ok_or_else(|| missing("control.tar"))?;
    let data = next(&mut at, Place::Data)?.ok_or_else(|| missing("data.tar"))?;
    let signature = next(&mut at, Place::Signature)?;
    if signature.is_some() {
        next(&mut at, Place::End)?;
    }
    if slashes.iter().any(|s| *s != slashes[0]) {
        return Err(refused("some member names end in '/' and others do not"));
    }
    let members = Members { binary, control, data, signature };
    let mut version = [0; 4];
    file.seek(SeekFrom::Start(members.binary.offset)).doing(doing)?;
    file.read_exact(&mut version).doing(doing)?;
    if version != FORMAT_VERSION {
        return Err(refused("debian-binary does not say 2.0"));
    }
    Ok(members)
}

/// What may stand at a place of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Place {
    Binary,
    Control,
    Data,
    Signature,
    End,
}

impl Place {
    fn of(name: &str) -> Option<Self> {
        let tar = |rest: &str| ["", ".xz", ".gz", ".zst"].contains(&rest);
        match name {
            "debian-binary" => Some(Self::Binary),
            SIGNATURE => Some(Self::Signature),
            _ if name.strip_prefix("control.tar").is_some_and(tar) => Some(Self::Control),
            _ if name.strip_prefix("data.tar").is_some_and(tar) => Some(Self::Data),
            _ => None,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Binary => "debian-binary",
            Self::Control => "control.tar (plain, .xz, .gz or .zst)",
            Self::Data => "data.tar (plain, .xz, .gz or .zst)",
            Self::Signature => "_gpgorigin or the end",
            Self::End => "the end",
        }
    }

    fn check(self, member: &Member) -> Result<()> {
        let name = &member.name;
        let found = Self::of(name);
        if found != Some(self) {
            return Err(refused(match found {
                None => format!("member {name} does not belong there; expected {}", self.expected()),
                Some(found) if found < self => {
                    format!("member {name} is there twice or out of order; expected {}", self.expected())
                }
                Some(_) => {
                    format!("member {name} is out of order or there twice; expected {}", self.expected())
                }
            }));
        }
        let allowed = match self {
            Self::Binary => FORMAT_VERSION.len() as u64..=FORMAT_VERSION.len() as u64,
            Self::Control => 1..=MAX_CONTROL,
            Self::Data => 1..=MAX_MEMBER,
            _ => 1..=MAX_SIGNATURE,
        };
        match allowed.contains(&member.size) {
            true => Ok(()),
            false => Err(refused(format!("member {name} has the impossible size {}", member.size))),
        }
    }
}

/// Reads a header; also tells whether the name ends in GNU ar's slash.
fn header(bytes: &[u8; 60], offset: u64) -> Result<(Member, bool)> {
    if &bytes[58..] != b"`\n" {
        return Err(refused(format!("the header at byte {} does not end as it must", offset - HEADER)));
    }
    let field = &bytes[..16];
    let length = field.iter().rposition(|b| *b != b' ').map_or(0, |i| i + 1);
    let (name, slash) = match &field[..length] {
        [name @ .., b'/'] if !name.is_empty() => (name, true),
        name => (name, false),
    };
    let name = crate::escape::escape(name);
    let number = |what: &str, from: usize, to: usize, radix: u32| {
        number(&bytes[from..to], radix)
            .ok_or_else(|| refused(format!("the {what} of member {name} is not a canonical number")))
    };
    let member = Member {
        mtime: number("time", 16, 28, 10)?,
        uid: number("owner", 28, 34, 10)? as u32,
        gid: number("group", 34, 40, 10)? as u32,
        mode: number("mode", 40, 48, 8)? as u32,
        size: number("size", 48, 58, 10)?,
        offset,
        name,
    };
    Ok((member, slash))
}

/// Digits without leading zeros, then spaces: one number has one form.
fn number(field: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_end_matches(' ');
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| canonical && digits)
}

fn take<const N: usize>(file: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).doing(|| "cannot read the archive")?;
    Ok(bytes)
}

/// A reader of one member's content.
pub fn content<'a, F: Read + Seek>(file: &'a mut F, member: &Member) -> Result<std::io::Take<&'a mut F>> {
    file.seek(SeekFrom::Start(member.offset)).doing(|| "cannot read the archive")?;
    Ok(file.take(member.size))
}

/// Writes a `.deb` member by member; every header carries the same time, owner 0:0, mode 0100644.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    mtime: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(mut out: W, mtime: u64) -> Result<Self> {
        out.write_all(MAGIC).doing(|| "cannot write the archive")?;
        Ok(Self { out, mtime })
    }

    /// Appends a member of exactly `size` bytes.
    pub fn member(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<()> {
        let doing = || format!("cannot write member {name}");
        let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", self.mtime, 0, 0, "100644");
        if header.len() as u64 != HEADER {
            return Err(host::Error::new(format!("member {name} does not fit into an ar header")));
        }
        self.out.write_all(header.as_bytes()).doing(doing)?;
        let copied = std::io::copy(&mut content.take(size), &mut self.out).doing(doing)?;
        if copied != size {
            return Err(host::Error::new(format!("member {name} ended early: did its file change?")));
        }
        if size % 2 == 1 {
            self.out.write_all(b"\n").doing(doing)?;
        }
        Ok(())
    }

    /// The output, complete.
    pub fn finish(mut self) -> Result<W> {
        self.out.flush().doing(|| "cannot write the archive")?;
        Ok(self.out)
    }
}

#[cfg(test)]
pub(crate) mod tests;
