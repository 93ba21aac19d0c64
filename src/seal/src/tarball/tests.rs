use super::header::BLOCK;
use super::*;
use crate::manifest::Kind;
use proptest::prelude::*;

/// Builds tar archives, right or wrong ones.
#[derive(Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.member(name, b'5', b"", "")
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.member(name, b'0', content, "")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Self {
        self.member(name, b'2', b"", target)
    }

    pub(crate) fn hard(self, name: &str, target: &str) -> Self {
        self.member(name, b'1', b"", target)
    }

    pub(crate) fn member(self, name: &str, kind: u8, content: &[u8], target: &str) -> Self {
        self.raw(name, kind, content, |block| {
            block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(crate) fn raw(mut self, name: &str, kind: u8, content: &[u8], change: impl FnOnce(&mut [u8; BLOCK])) -> Self {
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(if kind == b'5' { b"0000755" } else { b"0000644" });
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[257..265].copy_from_slice(b"ustar  \0");
        block[265..269].copy_from_slice(b"root");
        block[297..301].copy_from_slice(b"root");
        block[156] = kind;
        block[148..156].fill(b' ');
        change(&mut block);
        if &block[148..156] == b"        " {
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        self.bytes.extend_from_slice(&block);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.resize((self.bytes.len() + 2 * BLOCK).next_multiple_of(10240), 0);
        self.bytes
    }
}

fn read(tar: Tar) -> Result<Vec<Entry>> {
    payload("data.tar", &mut &tar.end()[..])
}

#[track_caller]
fn refused_for(tar: Tar, why: &str) {
    let said = read(tar).expect_err(why);
    assert!(said.to_string().contains(why), "'{said}' does not say '{why}'");
    assert_eq!(said.kind().exit_code(), 6);
}

#[test]
fn an_ordinary_payload() {
    let long = format!("./usr/{}", "n".repeat(200));
    let tar = Tar::new()
        .dir("./")
        .dir("./usr/")
        .file("./usr/a b", &[7; 700])
        .link("./usr/l", "../usr/a b")
        .hard("./usr/h", "./usr/a b")
        .member("././@LongLink", b'L', format!("{long}\0").as_bytes(), "")
        .file("./usr/nnn", b"")
        .file("usr/bare", b"x");
    let entries = read(tar).unwrap();
    let paths: Vec<_> = entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["/", "/usr", "/usr/a b", "/usr/l", "/usr/h", &long[1..], "/usr/bare"]);
    assert_eq!(entries[2].sha256.as_deref(), Some(&*crate::hex::sha256(&[7; 700])));
    assert_eq!((entries[2].size, entries[2].mode), (Some(700), 0o644));
    assert_eq!(entries[3].target.as_deref(), Some("../usr/a b"));
    assert_eq!(entries[4].sha256, entries[2].sha256);
    assert_eq!((entries[4].kind, entries[4].target.as_deref()), (Kind::File, Some("/usr/a b")));
}

#[test]
fn what_is_refused() {
    let new = Tar::new;
    refused_for(new().file("/etc/x", b""), "absolute path");
    refused_for(new().file("./a/../../x", b""), "climbs out");
    refused_for(new().file("./a//x", b""), "no canonical path");
    refused_for(new().file("././x", b""), "no canonical path");
    refused_for(new().file("./x/", b""), "ends in '/'");
    refused_for(new().file("./x", b"").file("x", b""), "/x is there twice");
    refused_for(new().member("./null", b'3', b"", ""), "device");
    refused_for(new().member("./sda", b'4', b"", ""), "device");
    refused_for(new().member("./p", b'6', b"", ""), "named pipe");
    refused_for(new().member("./x", b'x', b"", ""), "pax headers");
    refused_for(new().member("./x", b'S', b"", ""), "unknown type 'S'");
    refused_for(new().hard("./h", "./later").file("./later", b""), "hard link to no earlier file");
    refused_for(new().link("./l", "x").hard("./h", "./l"), "hard link to no earlier file");
    refused_for(new().link("./l", ""), "points nowhere");
    refused_for(new().link("./usr/l", "../../x"), "points out of the root");
    refused_for(new().link("./etc", "/tmp").file("./etc/x", b""), "lies below /etc");
    refused_for(new().member("./l", b'2', b"content", "x"), "no file but has content");
    refused_for(new().raw("./x", b'0', b"", |b| b[148] = b'7'), "checksum");
    refused_for(new().raw("./x", b'0', b"", |b| b[257] = b'U'), "neither ustar nor GNU");
    refused_for(new().raw("./x", b'0', b"", |b| b[257..265].fill(0)), "neither ustar nor GNU");
    refused_for(new().raw("./x/", b'0', b"", |b| b[257..].fill(0)), "ends in '/'");
    refused_for(new().raw("./x", b'0', b"", |b| b[108..112].copy_from_slice(b"1750")), "id 1000");
    refused_for(new().raw("./x", b'0', b"", |b| b[265..269].copy_from_slice(b"evil")), "'evil'");
    refused_for(new().raw("./x", b'0', b"", |b| b[124] = 0x80), "the size of ./x is no number");
    let name = || new().member("././@LongLink", b'L', b"./y\0", "");
    refused_for(name(), "long name belongs to no member");
    refused_for(name().member("././@LongLink", b'L', b"./y\0", "").file("./x", b""), "two long names");
    refused_for(new().member("././@LongLink", b'L', b"./y", "").file("./x", b""), "does not end");
}

#[test]
fn the_end_is_the_end() {
    let whole = || Tar::new().file("./x", b"hello");
    let said = |bytes: &[u8]| payload("data.tar", &mut &bytes[..]).unwrap_err().to_string();
    assert!(said(&whole().bytes).contains("end mark is missing"));
    assert!(said(&whole().bytes[..600]).contains("cut off in /x"));
    assert!(said(&[&whole().bytes[..], &[0; BLOCK]].concat()).contains("end mark is incomplete"));
    assert!(said(&[&whole().end()[..], b"x"].concat()).contains("behind the end"));
    let mut second = whole().end();
    second.extend(whole().end());
    assert!(said(&second).contains("behind the end"));
    let mut dirty = whole().end();
    dirty[BLOCK + 100] = 1;
    assert!(said(&dirty).contains("padding behind /x"));
    assert!(said(&[&whole().end()[..], &vec![0; 2 << 20]].concat()).contains("1 MiB of padding"));
}

#[test]
fn control_archives_hold_plain_files_only() {
    let said = |tar: Tar| control_members("control.tar", &mut &tar.end()[..]).unwrap_err().to_string();
    let new = || Tar::new().dir("./");
    for tar in [
        new().file("./a.b", b""),
        new().dir("./d/"),
        new().dir("./d/").file("./d/x", b""),
        new().link("./preinst", "control"),
        new().file("./x", b"").hard("./preinst", "./x"),
        new().file("./-x", b""),
    ] {
        let said = said(tar);
        assert!(said.contains("not a plain file of a plain name"), "{said}");
    }
    let found = control_members("control.tar", &mut &new().file("./control", b"x").end()[..]).unwrap();
    assert_eq!((found[0].name.as_str(), &found[0].bytes[..]), ("control", &b"x"[..]));
}

#[test]
fn control_archives_are_written_the_same_every_time() {
    let files = vec![
        ControlMember { name: "control".into(), mode: 0o644, bytes: b"Package: x\n".to_vec() },
        ControlMember { name: "preinst".into(), mode: 0o755, bytes: vec![7; 100_000] },
    ];
    let first = control_archive(&files, 1_700_000_000).unwrap();
    assert_eq!(first, control_archive(&files, 1_700_000_000).unwrap());
    assert_ne!(first, control_archive(&files, 1_700_000_001).unwrap());
    assert_eq!(control_members("control.tar.xz", &mut &first[..]).unwrap(), files);
    let dotted = ControlMember { name: "a.b".into(), mode: 0o644, bytes: Vec::new() };
    assert!(control_archive(&[dotted], 0).is_err());
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = payload("data.tar", &mut &bytes[..]);
    }

    #[test]
    fn spoiled_archives_never_panic(spots in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = Tar::new().dir("./").file("./x", b"hello").link("./l", "x").end();
        for (at, byte) in spots {
            let at = at.index(3 * BLOCK);
            bytes[at] = byte;
        }
        // A right checksum lets the damage reach what lies behind it.
        for start in [0, BLOCK, 3 * BLOCK] {
            let block = &mut bytes[start..start + BLOCK];
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let _ = payload("data.tar", &mut &bytes[..]);
    }

    #[test]
    fn spoiled_compression_never_panics(at: prop::sample::Index, byte: u8) {
        let mut bytes = crate::compress::xz(&Tar::new().file("./x", b"hello").end()).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = payload("data.tar.xz", &mut &bytes[..]);
    }
}

#[test]
fn a_payload_that_is_cut_keeps_every_path_and_says_the_new_sizes() {
    let long_name = format!("./{}", "n".repeat(200));
    let tar = Tar::new()
        .dir("./")
        .dir("./usr/")
        .file("./usr/long", &[b'x'; 3000])
        .member("././@LongLink", b'L', format!("{long_name}\0").as_bytes(), "")
        .file("./cut-name", &[b'y'; 700])
        .file("./usr/short", b"12345")
        .hard("./usr/same", "./usr/long")
        .link("./usr/link", "long")
        .end();
    let read = |bytes: &[u8]| payload("data.tar", &mut &bytes[..]).unwrap();
    let (whole, cut) = (read(&tar), read(&cut_payload(&tar, 600).unwrap()));
    let paths = |entries: &[crate::manifest::Entry]| entries.iter().map(|e| e.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&cut), paths(&whole));
    assert!(paths(&cut).contains(&long_name[1..].to_owned()));
    let sizes: Vec<_> = cut.iter().filter_map(|e| e.size).collect();
    assert_eq!(sizes, [600, 600, 5, 600]);
    assert_eq!(cut[2].sha256.as_deref(), Some(crate::hex::sha256(&[b'x'; 600]).as_str()));
    assert_eq!(read(&cut_payload(&tar, 3000).unwrap()), whole);
    assert!(cut_payload(&tar[..3 * 512 + 100], 600).is_err());
}
