//! The `.deb` and what is packed in it: anybody can hand us one.

use std::io::{Cursor, Read};

use seal::ar::{self, Members};
use seal::control::Control;
use seal::manifest::{self, Manifest};
use seal::tarball;

const BLOCK: usize = 512;

/// A `.deb`, from the magic to the end.
pub fn deb(bytes: &[u8]) {
    let mut file = Cursor::new(bytes);
    let Ok(members) = ar::read(&mut file) else { return };
    let mut at = 8;
    for member in members.iter() {
        assert_eq!(member.offset, at + 60, "{} begins where the one before ends", member.name);
        at = member.offset + member.size + member.size % 2;
    }
    assert_eq!(at, bytes.len() as u64, "nothing lies behind the last member");
    let content = |member: &ar::Member| {
        let from = usize::try_from(member.offset).expect("it lies in the file");
        &bytes[from..from + usize::try_from(member.size).expect("it lies in the file")]
    };
    let mut writer = ar::Writer::new(Vec::new(), members.binary.mtime).expect("memory can be written");
    for member in members.iter() {
        writer.member(&member.name, member.size, &mut content(member)).expect("it was read, so it can be written");
    }
    let again = writer.finish().expect("memory can be written");
    let again = ar::read(&mut Cursor::new(&again)).expect("what is written is read");
    let places = |m: &Members| m.iter().map(|m| (m.name.clone(), m.offset, m.size)).collect::<Vec<_>>();
    assert_eq!(places(&again), places(&members));

    if let Ok(files) = tarball::control_members(&members.control.name, &mut content(&members.control)) {
        for file in files {
            match file.name.as_str() {
                "control" => drop(Control::parse(&file.bytes)),
                manifest::NAME => drop(Manifest::parse(&file.bytes)),
                _ => drop(seal::trailer::parse(&file.bytes)),
            }
        }
    }
    let _ = tarball::payload(&members.data.name, &mut content(&members.data));
}

/// A tar archive: as it is, and with the right checksum in each header, for what lies behind it.
pub fn tar(bytes: &[u8]) {
    plain_tar(bytes);
    let mut mended = bytes.to_vec();
    for block in mended.chunks_exact_mut(BLOCK).filter(|b| b[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    plain_tar(&mended);
}

fn plain_tar(bytes: &[u8]) {
    if let Ok(files) = tarball::control_members("control.tar", &mut &bytes[..])
        && files.iter().all(|f| f.name.len() <= 98)
    {
        let written = tarball::plain_control_archive(&files, 0).expect("it was read, so it can be written");
        let again = tarball::control_members("control.tar", &mut &written[..]).expect("what is written is read");
        assert_eq!(again, files);
    }
    if let Ok(payload) = tarball::payload("data.tar", &mut &bytes[..]) {
        let manifest = Manifest {
            format: manifest::FORMAT,
            package: "demo".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            minimum_version: None,
            source_date: 0,
            control: Vec::new(),
            payload,
        };
        let written = manifest.to_bytes().expect("a payload that is accepted can be listed");
        assert_eq!(Manifest::parse(&written).expect("what is listed is accepted"), manifest);
    }
}

/// A compressed archive; the first byte says how it is compressed.
pub fn compressed(bytes: &[u8]) {
    let Some((how, mut packed)) = bytes.split_first() else { return };
    let name = ["data.tar.xz", "data.tar.gz", "data.tar.zst"][usize::from(how % 3)];
    let _ = tarball::payload(name, &mut packed);
    // Read to where it was refused, and no further.
    let mut rest = Vec::new();
    packed.read_to_end(&mut rest).expect("memory can be read");
    assert!(rest.len() < bytes.len());
}
