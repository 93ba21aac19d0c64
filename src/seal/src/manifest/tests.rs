use super::*;
use proptest::prelude::*;

/// A small but complete manifest.
pub(crate) fn sample() -> Manifest {
    let entry = |path: &str, kind, mode| Entry {
        path: path.into(),
        kind,
        mode,
        owner: 0,
        group: 0,
        size: None,
        sha256: None,
        target: None,
    };
    Manifest {
        format: FORMAT,
        package: "demo".into(),
        version: "1.0-1".into(),
        architecture: "amd64".into(),
        minimum_version: Some("0.9".into()),
        source_date: 1_700_000_000,
        control: vec![ControlFile::of("control", 0o644, b"Package: demo\n"), ControlFile::of("preinst", 0o755, b"ELF")],
        payload: vec![
            entry("/", Kind::Dir, 0o755),
            entry("/usr", Kind::Dir, 0o755),
            Entry { size: Some(5), sha256: Some(hex::sha256(b"hello")), ..entry("/usr/a\\xff", Kind::File, 0o644) },
            Entry { target: Some("a".into()), ..entry("/usr/l", Kind::Link, 0o777) },
        ],
    }
}

fn refusal(text: &str) -> String {
    let error = Manifest::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), host::Kind::SignatureRefused);
    error.to_string()
}

#[test]
fn written_one_entry_a_line_and_read_back() {
    let bytes = sample().to_bytes().unwrap();
    assert_eq!(Manifest::parse(&bytes).unwrap(), sample());
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 1 + (1 + 2 + 1) + (1 + 4 + 1), "{text}");
    assert!(text.contains(r#"{"path":"/usr/l","kind":"link","mode":"0777","owner":0,"group":0,"target":"a"}"#));
}

/// The first format ever shipped stays readable, with fields of the future in it.
#[test]
fn fixture_of_format_1() {
    let text = include_str!("../../tests/fixtures/manifest-1.json");
    let manifest = Manifest::parse(text.as_bytes()).unwrap();
    assert_eq!(manifest, sample());
}

#[test]
fn what_is_refused() {
    let text = String::from_utf8(sample().to_bytes().unwrap()).unwrap();
    for (from, to, why) in [
        ("\"format\":1", "\"format\":2", "has format 2, this program reads up to 1"),
        ("\"format\":1", "\"format\":0", "no format 0"),
        ("\"package\":\"demo\"", "\"package\":\"../x\"", "not a package name"),
        ("\"1.0-1\"", "\"x\"", "not a Debian version"),
        ("\"0.9\"", "\"_\"", "not a Debian version"),
        ("\"name\":\"preinst\"", "\"name\":\"a.b\"", "no name of a control file"),
        ("\"name\":\"preinst\"", "\"name\":\"manifest\"", "no name of a control file"),
        ("\"name\":\"preinst\"", "\"name\":\"control\"", "twice"),
        ("\"/usr/l\"", "\"/usr\"", "twice"),
        ("\"/usr/l\"", "\"/usr/../l\"", "no canonical path"),
        ("\"/usr/l\"", "\"usr/l\"", "no canonical path"),
        ("\"/usr/l\"", "\"/usr/l\\\\x41\"", "no canonical path"),
        ("\"0777\"", "\"999\"", "no mode"),
        (",\"target\":\"a\"", "", "incomplete"),
        (",\"size\":5", "", "incomplete"),
        ("\"kind\":\"link\"", "\"kind\":\"fifo\"", "unknown variant"),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        let said = refusal(&altered);
        assert!(said.contains(why), "{said} / {why}");
    }
}

#[test]
fn control_files_must_be_exactly_those_listed() {
    let manifest = sample();
    let good = manifest.control.clone();
    manifest.check_control(&good, true).unwrap();
    let said = |files: &[ControlFile]| manifest.check_control(files, true).unwrap_err().to_string();

    let mut altered = good.clone();
    altered[1] = ControlFile::of("preinst", 0o755, b"ELf");
    assert!(said(&altered).contains("preinst was altered"));
    altered[1] = ControlFile::of("preinst", 0o644, b"ELF");
    assert!(said(&altered).contains("mode 0644"));
    manifest.check_control(&altered, false).unwrap();

    let mut extra = good.clone();
    extra.push(ControlFile::of("triggers", 0o644, b""));
    assert!(said(&extra).contains("triggers is not in the manifest"));
    assert!(said(&good[..1]).contains("preinst is in the manifest but not there"));
}

#[test]
fn payload_must_be_exactly_that_listed() {
    let manifest = sample();
    let good = manifest.payload.clone();
    manifest.check_payload(&good).unwrap();
    let said = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut found = good.clone();
        change(&mut found);
        manifest.check_payload(&found).unwrap_err().to_string()
    };
    assert!(said(&|p| p[2].sha256 = Some(hex::sha256(b"x"))).contains("another SHA-256"));
    assert!(said(&|p| p[2].mode = 0o4755).contains("mode is 4755"));
    assert!(said(&|p| p[2].owner = 1).contains("belongs to 1:0"));
    assert!(said(&|p| p[3].target = Some("b".into())).contains("points to b"));
    assert!(said(&|p| p[3].kind = Kind::File).contains("another kind"));
    assert!(said(&|p| p.swap(1, 2)).contains("stands where"));
    assert!(said(&|p| p.push(good[1].clone())).contains("not in the manifest"));
    assert!(said(&|p| p.truncate(3)).contains("not there"));
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = Manifest::parse(&bytes);
    }

    /// Whatever one byte becomes, the answer is a manifest or a refusal.
    #[test]
    fn altered_bytes_never_panic(at: prop::sample::Index, byte: u8) {
        let mut bytes = sample().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes) {
            Manifest::parse(&manifest.to_bytes().unwrap()).unwrap();
        }
    }
}
