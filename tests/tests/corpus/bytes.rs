//! Archives byte by byte, right or wrong ones: every field of every header can be set.

pub const BLOCK: usize = 512;

/// One member of a tar archive.
#[derive(Clone)]
pub struct TarMember {
    block: [u8; BLOCK],
    pub content: Vec<u8>,
    /// Set by hand, so it stays as it is.
    checksum: bool,
}

impl TarMember {
    fn new(name: &str, kind: u8, mode: u32, content: &[u8]) -> Self {
        let block = [0; BLOCK];
        let member = Self { block, content: content.to_vec(), checksum: false };
        let member = member.set(0, &name.as_bytes()[..name.len().min(100)]).set(100, format!("{mode:07o}").as_bytes());
        let member = member.set(108, b"0000000").set(116, b"0000000").set(136, b"14540000000");
        let member = member.set(124, format!("{:011o}", content.len()).as_bytes());
        member.set(156, &[kind]).set(257, b"ustar  \0").set(265, b"root").set(297, b"root")
    }

    /// Writes bytes into the header.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// A whole field: the bytes, then NULs.
    pub fn field(mut self, range: std::ops::Range<usize>, bytes: &[u8]) -> Self {
        self.block[range.clone()].fill(0);
        self.set(range.start, bytes)
    }

    pub fn target(self, target: &str) -> Self {
        self.field(157..257, target.as_bytes())
    }

    pub fn mode(self, mode: u32) -> Self {
        self.set(100, format!("{mode:07o}").as_bytes())
    }

    /// What the header says, whatever the content is.
    pub fn size(self, size: u64) -> Self {
        self.set(124, format!("{size:011o}").as_bytes())
    }

    pub fn owner(self, uid: u32, name: &str) -> Self {
        self.set(108, format!("{uid:07o}").as_bytes()).field(265..297, name.as_bytes())
    }

    /// POSIX's magic instead of GNU's.
    pub fn ustar(self) -> Self {
        self.set(257, b"ustar\x0000")
    }

    pub fn checksum(mut self, text: &[u8]) -> Self {
        self.checksum = true;
        self.set(148, text)
    }

    pub fn named(&self, name: &str) -> bool {
        self.block[..name.len()] == *name.as_bytes() && self.block[name.len()] == 0
    }

    fn bytes(&self) -> Vec<u8> {
        let mut block = self.block;
        if !self.checksum {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut out = [&block[..], &self.content].concat();
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }
}

pub fn file(name: &str, content: &[u8]) -> TarMember {
    TarMember::new(name, b'0', 0o644, content)
}

pub fn program(name: &str, content: &[u8]) -> TarMember {
    TarMember::new(name, b'0', 0o755, content)
}

pub fn dir(name: &str) -> TarMember {
    TarMember::new(name, b'5', 0o755, b"")
}

pub fn link(name: &str, target: &str) -> TarMember {
    TarMember::new(name, b'2', 0o777, b"").target(target)
}

pub fn hard(name: &str, target: &str) -> TarMember {
    TarMember::new(name, b'1', 0o644, b"").target(target)
}

/// A member of any other type, such as GNU's `L` or POSIX's `x`.
pub fn special(name: &str, kind: u8, content: &[u8]) -> TarMember {
    TarMember::new(name, kind, 0o644, content)
}

/// One record of a pax header.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let bare = key.len() + value.len() + 3;
    let mut size = bare + 1;
    while size.to_string().len() + bare != size {
        size += 1;
    }
    format!("{size} {key}={value}\n").into_bytes()
}

/// A tar archive.
#[derive(Clone, Default)]
pub struct Tar {
    pub members: Vec<TarMember>,
    /// What stands behind the last member; the end mark, if not said.
    pub tail: Option<Vec<u8>>,
}

impl Tar {
    pub fn of(members: impl IntoIterator<Item = TarMember>) -> Self {
        Self { members: members.into_iter().collect(), tail: None }
    }

    pub fn push(&mut self, member: TarMember) {
        self.members.push(member);
    }

    /// Puts members before the one of that name.
    pub fn before(&mut self, name: &str, new: impl IntoIterator<Item = TarMember>) {
        let at = self.at(name);
        self.members.splice(at..at, new);
    }

    pub fn change(&mut self, name: &str, change: impl FnOnce(TarMember) -> TarMember) {
        let at = self.at(name);
        self.members[at] = change(self.members[at].clone());
    }

    pub fn remove(&mut self, name: &str) {
        let at = self.at(name);
        self.members.remove(at);
    }

    fn at(&self, name: &str) -> usize {
        let found = self.members.iter().position(|m| m.named(name));
        found.unwrap_or_else(|| panic!("the archive has no {name}"))
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out: Vec<u8> = self.members.iter().flat_map(TarMember::bytes).collect();
        match &self.tail {
            Some(tail) => out.extend_from_slice(tail),
            None => out.resize(out.len() + 2 * BLOCK, 0),
        }
        out
    }
}

/// One member of an `ar` archive: each field of its header is text of its own.
#[derive(Clone)]
pub struct ArMember {
    pub name: Vec<u8>,
    pub time: String,
    pub owner: String,
    pub group: String,
    pub mode: String,
    /// The content's, if not said.
    pub size: Option<String>,
    pub end: [u8; 2],
    pub content: Vec<u8>,
    /// Behind content of an odd size.
    pub padding: Vec<u8>,
}

impl ArMember {
    pub fn new(name: &str, time: u64, content: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            time: time.to_string(),
            owner: "0".into(),
            group: "0".into(),
            mode: "100644".into(),
            size: None,
            end: *b"`\n",
            content,
            padding: b"\n".to_vec(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let size = self.size.clone().unwrap_or_else(|| self.content.len().to_string());
        let mut out = self.name.clone();
        out.resize(16, b' ');
        for (text, width) in [(&self.time, 12), (&self.owner, 6), (&self.group, 6), (&self.mode, 8), (&size, 10)] {
            out.extend_from_slice(format!("{text:<width$}").as_bytes());
        }
        out.extend_from_slice(&self.end);
        out.extend_from_slice(&self.content);
        if self.content.len() % 2 == 1 {
            out.extend_from_slice(&self.padding);
        }
        out
    }
}

/// An `ar` archive.
#[derive(Clone)]
pub struct Ar {
    pub magic: Vec<u8>,
    pub members: Vec<ArMember>,
    pub tail: Vec<u8>,
}

impl Ar {
    pub fn of(members: Vec<ArMember>) -> Self {
        Self { magic: b"!<arch>\n".to_vec(), members, tail: Vec::new() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let members = self.members.iter().flat_map(ArMember::bytes);
        self.magic.iter().copied().chain(members).chain(self.tail.iter().copied()).collect()
    }
}
