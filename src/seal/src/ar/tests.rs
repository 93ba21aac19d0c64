use super::*;
use proptest::prelude::*;
use std::io::Cursor;

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 1_700_000_000).unwrap();
    for (name, bytes) in members {
        writer.member(name, bytes.len() as u64, &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

const BINARY: (&str, &[u8]) = ("debian-binary", b"2.0\n");
const CONTROL: (&str, &[u8]) = ("control.tar.xz", b"abc");
const DATA: (&str, &[u8]) = ("data.tar.zst", b"defg");
const SIGNED: (&str, &[u8]) = (SIGNATURE, b"s");

fn parse(bytes: &[u8]) -> Result<Members> {
    read(&mut Cursor::new(bytes))
}

#[track_caller]
fn refused_for(bytes: &[u8], why: &str) {
    let said = parse(bytes).expect_err(why);
    assert!(said.to_string().contains(why), "'{said}' does not say '{why}'");
    assert_eq!(said.kind().exit_code(), 6);
}

#[test]
fn the_one_shape() {
    let bytes = archive(&[BINARY, CONTROL, DATA, SIGNED]);
    let members = parse(&bytes).unwrap();
    assert_eq!(members.control.name, "control.tar.xz");
    assert_eq!((members.data.size, members.data.mtime), (4, 1_700_000_000));
    assert_eq!(members.iter().count(), 4);
    let mut content_of_data = String::new();
    let mut file = Cursor::new(&bytes);
    content(&mut file, &members.data).unwrap().read_to_string(&mut content_of_data).unwrap();
    assert_eq!(content_of_data, "defg");
    assert_eq!(parse(&archive(&[BINARY, CONTROL, DATA])).unwrap().signature, None);
}

#[test]
fn members_out_of_shape() {
    for (members, why) in [
        (vec![], "debian-binary is missing"),
        (vec![BINARY], "control.tar is missing"),
        (vec![BINARY, CONTROL], "data.tar is missing"),
        (vec![CONTROL, DATA], "control.tar.xz is out of order"),
        (vec![BINARY, DATA, CONTROL], "data.tar.zst is out of order"),
        (vec![BINARY, CONTROL, CONTROL, DATA], "control.tar.xz is there twice"),
        (vec![BINARY, CONTROL, DATA, DATA], "data.tar.zst is there twice"),
        (vec![BINARY, CONTROL, DATA, SIGNED, SIGNED], "_gpgorigin is there twice"),
        (vec![BINARY, CONTROL, DATA, SIGNED, CONTROL], "control.tar.xz is there twice"),
        (vec![BINARY, SIGNED, CONTROL, DATA], "_gpgorigin is out of order"),
        (vec![BINARY, CONTROL, DATA, ("_extra", b"x")], "_extra does not belong there"),
        (vec![BINARY, ("_extra", b"x"), CONTROL, DATA], "_extra does not belong there"),
        (vec![BINARY, ("control.tar.bz2", b"x"), DATA], "does not belong there"),
        (vec![("debian-binary", b"2.0"), CONTROL, DATA], "impossible size 3"),
        (vec![("debian-binary", b"2.1\n"), CONTROL, DATA], "does not say 2.0"),
        (vec![BINARY, ("control.tar.xz", b""), DATA], "impossible size 0"),
    ] {
        refused_for(&archive(&members), why);
    }
}

#[test]
fn bytes_out_of_shape() {
    let good = archive(&[BINARY, CONTROL, DATA, SIGNED]);
    let with = |at: usize, text: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + text.len()].copy_from_slice(text);
        bytes
    };
    // The second header begins at 8 + 60 + 4.
    refused_for(&with(0, b"!<arch!"), "no .deb");
    refused_for(b"", "no .deb");
    refused_for(&with(8 + 58, b"x"), "does not end as it must");
    refused_for(&with(72 + 48, b"03"), "the size of member control.tar.xz is not a canonical");
    refused_for(&with(72 + 48, b" 3"), "not a canonical number");
    refused_for(&with(72 + 48, b"+3"), "not a canonical number");
    refused_for(&with(72 + 48, b"9999999999"), "impossible size");
    refused_for(&with(72 + 48, b"99999     "), "cut off");
    refused_for(&with(72 + 28, b"x"), "the owner of member");
    refused_for(&with(72 + 40, b"9"), "the mode of member");
    refused_for(&with(72 + 60 + 3, b"\0"), "padding byte behind control.tar.xz is wrong");
    refused_for(&good[..good.len() - 1], "padding byte behind _gpgorigin is missing");
    refused_for(&good[..70], "cut off");
    refused_for(&[&good[..], b"x"].concat(), "1 bytes behind the last member");
    refused_for(&with(8 + 13, b"/"), "some member names end in '/'");
}

#[test]
fn names_of_gnu_ar_are_read_too() {
    let mut bytes = archive(&[BINARY, CONTROL, DATA]);
    for name in ["debian-binary", "control.tar.xz", "data.tar.zst"] {
        let at = bytes.windows(name.len()).position(|w| w == name.as_bytes()).unwrap();
        bytes[at + name.len()] = b'/';
    }
    assert_eq!(parse(&bytes).unwrap().data.name, "data.tar.zst");
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = parse(&bytes);
        let _ = parse(&[MAGIC, &bytes[..]].concat());
    }

    #[test]
    fn a_changed_header_is_refused_or_changes_a_number(at: prop::sample::Index, byte: u8) {
        let good = archive(&[BINARY, CONTROL, DATA, SIGNED]);
        let mut bytes = good.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(members) = parse(&bytes) {
            let good = parse(&good).unwrap();
            let places = |m: &Members| m.iter().map(|m| (m.name.clone(), m.offset, m.size)).collect::<Vec<_>>();
            prop_assert_eq!(places(&members), places(&good));
        }
    }
}
